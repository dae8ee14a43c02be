import { logOf, type Logger } from '../base/log.js';
import type { ContainerIo } from './stdio.js';

/** A full pipe of each of many containers that end together, or a slow disk. */
const TAIL_MS = 10_000;

/** Takes away the streams of a container whose task is gone, once all that it wrote is in its log. */
export async function endIo(io: ContainerIo | undefined, log: Logger): Promise<void> {
  if (io && !(await io.drained(TAIL_MS))) {
    const container = io.containerId;
    logOf(log).warn({ container, waitedMs: TAIL_MS }, 'the end of what the container wrote may not be in its log');
  }
  await io?.remove();
}
