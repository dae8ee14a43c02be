import { logOf, type Logger } from '../../base/log.js';
import type { ContainerIo } from '../stdio.js';

/** Enough for many containers that end together, each with a full pipe, and for a slow disk. */
const TAIL_MS = 10_000;

/** Removes the streams of a container whose task is gone, once all its output is in its log, or after `TAIL_MS`. */
export async function endIo(io: ContainerIo | undefined, log: Logger): Promise<void> {
  if (io && !(await io.drained(TAIL_MS))) {
    const container = io.containerId;
    logOf(log).warn({ container, waitedMs: TAIL_MS }, 'the end of what the container wrote may not be in its log');
  }
  await io?.remove();
}
