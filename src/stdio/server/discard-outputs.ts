import { closeSync, readSync } from 'node:fs';
import { openFifoRead } from '../../host/pipe/fifo.js';
import { errnoName } from '../../host/syscall/errno.js';
import type { FifoPaths } from '../stdio.js';
import { outputsOf } from './fifo-set.js';

/** Each tick reads at most one pipe's size: a child that writes endlessly must not keep this thread busy. */
const TICK_MS = 50;
const TICK_BYTES = 1024 * 1024;

/**
 * Reads and drops the output in these FIFOs until their writers have gone, or until the returned function is called. A
 * shim holds a read end of each FIFO itself, so its write to a full pipe blocks and never fails: without another
 * reader, the shim would hold the descriptors of an ended process for ever.
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
    // The FIFO may be removed already. A FIFO that cannot be opened must not prevent the removal of its exec.
    return [];
  }
}

/** Shared scratch buffer: its content is never read, and one per read would allocate 20 MiB/s per process. */
const dropped = Buffer.allocUnsafeSlow(TICK_BYTES);

function hasEnded(fd: number): boolean {
  try {
    return readSync(fd, dropped) === 0;
  } catch (thrown) {
    return errnoName(thrown) !== 'EAGAIN';
  }
}
