import { posix } from 'node:path';
import { inBackground } from '../../base/background.js';
import { CriError, isCode } from '../../base/errors.js';
import type { Logger } from '../../base/log.js';
import { withLimit } from '../../base/time.js';
import { beginWait } from '../../base/waits.js';
import type { PathBeneath } from '../../host/files/open-beneath.js';
import type { NewCommand, Notice, StreamName } from '../shared/copy-messages.js';
import { STALLED_MS } from '../shared/pulse.js';
import type { ContainerIo, ContainerIoRequest, FifoPaths } from '../stdio.js';
import type { CopyThread } from './copy-thread.js';
import { nudge, outputsOf, removeFifoSet } from './fifo-set.js';

/** A container or a captured command whose streams are open in a copying thread. */
export interface OpenIo {
  onReport(report: Notice): void;
  /** Returns the command that opens the streams in a new copying thread; undefined: there is nothing left to open. */
  reopenCommand(): NewCommand | undefined;
}

export interface ContainerIoOptions {
  readonly io: number;
  readonly request: Omit<ContainerIoRequest, 'fifoDir'>;
  readonly paths: FifoPaths;
  readonly thread: CopyThread;
  readonly log: Logger;
  readonly onLogTrouble: (error: string, droppedBytes: number) => void;
  readonly onLogRecovered: (droppedBytes: number) => void;
  readonly onStreamError: (stream: StreamName, error: string) => void;
  readonly onClosed: () => void;
  readonly onRemoved: () => void;
}

export function createContainerIo(options: ContainerIoOptions): OpenIo & { readonly containerIo: ContainerIo } {
  const { io, request, paths, thread, log } = options;
  const { describeWait, notAnswered, requireAnswers } = answersOf(thread, request);
  const running = new Map(outputsOf(paths).map((source) => [source.name, source.path]));
  const waiters = new Set<() => void>();
  let closing: Promise<void> | undefined;
  let lastAttachment = 0;

  const ended = (stream: StreamName): void => {
    running.delete(stream);
    if (running.size > 0) return;
    for (const wake of waiters) wake();
  };

  /**
   * For commands that close descriptors. They fail when the copying thread died or stdio is closed, and the descriptors
   * are closed by then. So a failure is at most logged, never thrown.
   */
  const sendOrLog = (command: NewCommand): Promise<void> =>
    thread.send(command).catch((thrown: unknown) => {
      if (isCode(thrown, 'UNAVAILABLE')) return;
      log.warn({ container: request.containerId, err: CriError.from(thrown).message }, `${command.kind} failed`);
    });

  const closeNow = async (): Promise<void> => {
    const done = beginWait(describeWait);
    await withLimit(sendOrLog({ kind: 'close', io }), CLOSE_LIMIT_MS, () =>
      log.warn(
        { container: request.containerId, logPath: request.logPath },
        'the log does not answer, its end is written when it does',
      ),
    );
    done();
    options.onClosed();
    for (const wake of waiters) wake();
  };
  const close = (): Promise<void> => (closing ??= closeNow());

  const containerIo: ContainerIo = {
    containerId: request.containerId,
    paths,
    async reopenLog() {
      requireAnswers();
      await withLimit(thread.send({ kind: 'reopen-log', io }), STALLED_MS, notAnswered);
    },
    async attach({ stdout, stderr }) {
      requireAnswers();
      const attachment = (lastAttachment += 1);
      await thread.send({ kind: 'attach', io, attachment, stdout, stderr });
      return () => sendOrLog({ kind: 'detach', io, attachment });
    },
    async drained(timeoutMs) {
      if (running.size > 0 && closing === undefined) {
        const nudgeAll = (): void => running.forEach(nudge);
        nudgeAll();
        inBackground(log, 'hurrying the streams', sendOrLog({ kind: 'hurry', io }));
        const done = beginWait(describeWait);
        // A replacement for a dead thread opens the streams again. It has seen no writer, so no end of stream either.
        const again = setInterval(nudgeAll, NUDGE_EVERY_MS);
        await untilWoken(waiters, timeoutMs);
        clearInterval(again);
        done();
      }
      return running.size === 0;
    },
    close,
    async remove() {
      await close();
      removeFifoSet(paths);
      options.onRemoved();
    },
  };

  return {
    containerIo,
    onReport(report) {
      if (report.kind === 'log-trouble') options.onLogTrouble(report.error, report.droppedBytes);
      if (report.kind === 'log-recovered') options.onLogRecovered(report.droppedBytes);
      if (report.kind !== 'stream-ended') return;
      if (report.error !== undefined) options.onStreamError(report.stream, report.error);
      ended(report.stream);
    },
    reopenCommand: () =>
      closing
        ? undefined
        : {
            kind: 'open',
            io,
            streams: [...running].map(([name, path]) => ({ name, path })),
            log: logFileOf(request),
            logMustOpen: false,
            maxLineBytes: request.maxLineBytes,
          },
  };
}

/** Splits the path of a log at the pod's log directory. */
export function logFileOf(request: {
  readonly logPath: string | undefined;
  readonly logDirectory?: string | undefined;
}): PathBeneath | undefined {
  const { logPath } = request;
  if (logPath === undefined) return undefined;
  const directory = request.logDirectory ?? posix.dirname(logPath);
  return { directory, path: posix.relative(directory, logPath) };
}

/** Resolves when the function that it adds to `waiters` is called, or after `timeoutMs`. */
async function untilWoken(waiters: Set<() => void>, timeoutMs: number): Promise<void> {
  let wake = (): void => undefined;
  const woken = new Promise<void>((resolve) => (wake = resolve));
  waiters.add(wake);
  await withLimit(woken, timeoutMs, () => undefined);
  waiters.delete(wake);
}

/** Checks of whether the log's file system responds, by how long the thread has been busy. */
function answersOf(thread: CopyThread, { containerId, logPath }: ContainerIoOptions['request']) {
  const notAnswered = (): never => {
    throw new CriError('UNAVAILABLE', `log "${logPath}" has not answered for ${STALLED_MS / 1000} s`);
  };
  return {
    describeWait(): string {
      const seconds = Math.floor(thread.busyMs() / 1000);
      return seconds > 0
        ? `log "${logPath}", which has not answered for ${seconds} s`
        : `the streams of container ${containerId} to end`;
    },
    notAnswered,
    /**
     * Throws UNAVAILABLE when the thread is stalled. For commands that must not run late: another container may have
     * reused their paths by then.
     */
    requireAnswers(): void {
      if (thread.busyMs() > STALLED_MS) notAnswered();
    },
  };
}

const CLOSE_LIMIT_MS = 5_000;
const NUDGE_EVERY_MS = 250;
