import { closeSync, readSync } from 'node:fs';
import { errnoName } from '../host/errno.js';
import { openFifoRead } from '../host/fifo.js';
import { outputsOf } from './fifo-set.js';
import type { FifoPaths } from './stdio.js';

/** At most a pipe's worth each time: a child that writes without end must not keep this thread busy. */
const TICK_MS = 50;
const TICK_BYTES = 1024 * 1024;

/**
 * Reads and drops what comes out of these FIFOs until their writers have gone, or until the answer is called. A shim holds
 * a read end of each FIFO itself, so a write of its that finds no room never fails: with nobody reading, it would hold
 * the descriptors of an ended process for ever.
 */
export function discardOutputs(paths: FifoPaths): () => void {
  const open = new Set(outputsOf(paths).flatMap(({ path }) => opened(path)));
  let timer: NodeJS.Timeout | undefined;

  const close = (fd: number): void => {
    open.delete(fd);
    closeSync(fd);
    if (open.size === 0) clearInterval(timer);
  };

  const read = (): void => {
    for (const fd of open) if (hasEnded(fd)) close(fd);
  };

  if (open.size > 0) read();
  if (open.size > 0) timer = setInterval(read, TICK_MS);
  return () => open.forEach(close);
}

function opened(path: string): number[] {
  try {
    return [openFifoRead(path)];
  } catch {
    // Removed already; and what cannot be opened must not keep its exec from being taken away.
    return [];
  }
}

/** One for all: nobody looks at what is in it, and a new one for each read is 20 MiB a second for each process. */
const dropped = Buffer.allocUnsafeSlow(TICK_BYTES);

function hasEnded(fd: number): boolean {
  try {
    return readSync(fd, dropped) === 0;
  } catch (thrown) {
    return errnoName(thrown) !== 'EAGAIN';
  }
}
