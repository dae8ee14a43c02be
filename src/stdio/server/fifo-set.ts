import { chmodSync, closeSync, mkdirSync, rmdirSync, statSync, unlinkSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { CriError } from '../../base/errors.js';
import { makeFifo, openFifoRead, openFifoWrite } from '../../host/pipe/fifo.js';
import { errnoName, fsError } from '../../host/syscall/errno.js';
import { spoolPath, type StreamSource } from '../shared/copy-messages.js';
import type { FifoPaths } from '../stdio.js';

export interface FifoSetRequest {
  readonly directory: string;
  /** The prefix of the FIFOs' names: `NAME-stdin`, `NAME-stdout`, `NAME-stderr`. */
  readonly name: string;
  readonly stdin: boolean;
  readonly stderr: boolean;
}

/** Makes the FIFOs (0600) and their directory (0700). If one fails, those already made are removed. */
export function makeFifoSet({ directory, name, stdin, stderr }: FifoSetRequest): FifoPaths {
  const path = (stream: string, wanted: boolean): string => (wanted ? join(directory, `${name}-${stream}`) : '');
  const paths = { stdin: path('stdin', stdin), stdout: path('stdout', true), stderr: path('stderr', stderr) };
  // All in one turn of the event loop: no other operation can remove the empty directory in between.
  synchronously(directory, () => {
    mkdirSync(directory, { recursive: true, mode: 0o700 });
    chmodSync(directory, 0o700);
  });
  const made: string[] = [];
  try {
    for (const fifo of present(paths)) {
      makeFifo(fifo, 0o600);
      made.push(fifo);
    }
    return paths;
  } catch (thrown) {
    removeFiles(made, directory);
    throw thrown;
  }
}

/** Throws NOT_FOUND when a FIFO is gone, INVALID_ARGUMENT when a path is not a FIFO. */
export function checkFifoSet(paths: FifoPaths): void {
  for (const fifo of present(paths)) {
    const isFifo = synchronously(fifo, () => statSync(fifo).isFIFO());
    if (!isFifo) throw new CriError('INVALID_ARGUMENT', `${fifo}: not a fifo`);
  }
}

/** Removes the FIFOs and their spools, and their directory when nothing else is in it. Idempotent. */
export function removeFifoSet(paths: FifoPaths): void {
  const fifos = present(paths);
  if (fifos[0] !== undefined) removeFiles([...fifos, ...fifos.map(spoolPath)], dirname(fifos[0]));
}

/** The streams that are read, stdout first. */
export const outputsOf = (paths: FifoPaths): StreamSource[] =>
  (['stdout', 'stderr'] as const).filter((name) => paths[name] !== '').map((name) => ({ name, path: paths[name] }));

/**
 * Holds a read end of each output until the returned function is called, whatever other readers do. A shim that finds
 * no reader when it starts a process waits for one, then fails, and leaves the process running.
 */
export function holdReaders(paths: FifoPaths): () => void {
  const held: number[] = [];
  const letGo = (): void => held.splice(0).forEach((fd) => closeSync(fd));
  try {
    for (const { path } of outputsOf(paths)) held.push(openFifoRead(path));
  } catch (thrown) {
    letGo();
    throw thrown;
  }
  return letGo;
}

/**
 * Lets a reader see the end of a stream that had no writer since it was opened: opens a write end and closes it at
 * once. Real writers are not disturbed.
 */
export function nudge(path: string): void {
  try {
    closeSync(openFifoWrite(path));
  } catch (thrown) {
    // No reader or no FIFO: the reader has seen the end already.
    const { code } = CriError.from(thrown);
    if (code !== 'FAILED_PRECONDITION' && code !== 'NOT_FOUND') throw thrown;
  }
}

const present = (paths: FifoPaths): string[] => [paths.stdin, paths.stdout, paths.stderr].filter((path) => path !== '');

function removeFiles(files: readonly string[], directory: string): void {
  for (const file of files) unless(['ENOENT'], file, () => unlinkSync(file));
  unless(['ENOENT', 'ENOTEMPTY', 'EBUSY'], directory, () => rmdirSync(directory));
}

function unless(names: readonly string[], subject: string, work: () => void): void {
  try {
    work();
  } catch (thrown) {
    if (!names.includes(errnoName(thrown) ?? '')) throw fsError(thrown, subject);
  }
}

function synchronously<T>(subject: string, work: () => T): T {
  try {
    return work();
  } catch (thrown) {
    throw fsError(thrown, subject);
  }
}
