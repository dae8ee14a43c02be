import { logOf, type Logger } from '../../base/log.js';
import type { ContainerIo, Stdio } from '../stdio.js';

/** Enough for many containers that end together, each with a full pipe, and for a slow disk. */
const TAIL_MS = 10_000;

/** The open streams of all containers: a container has one set of streams at a time. */
export interface StreamRegistry extends Pick<Stdio, 'of' | 'end' | 'remove'> {
  /** Registers the streams of a container and returns them. */
  add(io: ContainerIo): ContainerIo;
}

export function createStreamRegistry(log: Logger): StreamRegistry {
  const byContainer = new Map<string, ContainerIo>();
  const remove = async (io: ContainerIo | undefined): Promise<void> => {
    if (!io) return;
    await io.remove();
    if (byContainer.get(io.containerId) === io) byContainer.delete(io.containerId);
  };
  return {
    add(io) {
      byContainer.set(io.containerId, io);
      return io;
    },
    of: (containerId) => byContainer.get(containerId),
    async end(containerId) {
      const io = byContainer.get(containerId);
      if (io && !(await io.drained(TAIL_MS))) {
        const told = { container: containerId, waitedMs: TAIL_MS };
        logOf(log).warn(told, 'the end of what the container wrote may not be in its log');
      }
      await remove(io);
    },
    remove: (containerId) => remove(byContainer.get(containerId)),
  };
}
