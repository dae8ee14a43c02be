import { closeSync } from 'node:fs';
import { CriError } from '../../base/errors.js';
import type { Logger } from '../../base/log.js';
import { openFifoRead } from '../../host/pipe/fifo.js';
import type { FifoPaths } from '../stdio.js';
import { outputsOf } from './fifo-set.js';

/**
 * Holds read ends of containers' pipes while crid is not running, so that the last output of a container is not lost.
 */
export interface PipeStore {
  keep(name: string, fds: readonly number[]): void;
  release(name: string): void;
}

/** Stores read ends of the container's output pipes. A failure is only logged: the container runs without them. */
export function keepPipes(store: PipeStore, containerId: string, paths: FifoPaths, log: Logger): void {
  const fds: number[] = [];
  try {
    for (const { path } of outputsOf(paths)) fds.push(openFifoRead(path));
    store.keep(containerId, fds);
  } catch (thrown) {
    log.warn({ container: containerId, err: CriError.from(thrown).message }, 'pipes not stored in the service manager');
  } finally {
    for (const fd of fds) closeSync(fd);
  }
}

export function releasePipes(store: PipeStore, containerId: string, log: Logger): void {
  try {
    store.release(containerId);
  } catch (thrown) {
    log.warn(
      { container: containerId, err: CriError.from(thrown).message },
      'pipes not released by the service manager',
    );
  }
}
