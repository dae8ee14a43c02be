import { epollAdd, epollRemove, epollWait } from '../../host/pipe/epoll.js';
import type { Pulse } from '../shared/pulse.js';

/** The copying thread's own event loop: readable and writable descriptors, and short delays. */
export interface Readiness {
  /** Calls `onReadable` each turn that `fd` has input or is at its end; returns a function that stops the watch. */
  watch(fd: number, onReadable: () => void): () => void;
  /**
   * Calls `onRoom` each turn that `fd` is writable or has no reader any more; returns a function that stops the watch.
   */
  watchRoom(fd: number, onRoom: () => void): () => void;
  /** Calls `work` once after `delayMs`; returns a function that cancels it. */
  after(delayMs: number, work: () => void): () => void;
  /** Blocks this thread for one turn: waits at most `MAX_WAIT_MS`, then calls the callbacks that are due. */
  turn(): void;
}

/**
 * Not libuv's loop: it has no way to watch a FIFO without reading it (see fifo-reader.ts), and koffi's poll handle
 * aborts the whole process when its worker dies while the handle is active (koffi 3.3.4).
 */
export function createReadiness(epoll: number, pulse: Pulse): Readiness {
  const watched = new Map<number, () => void>();
  const delayed = new Set<{ readonly atMs: number; readonly work: () => void }>();

  const runDelayed = (): void => {
    const nowMs = performance.now();
    for (const entry of delayed) {
      if (entry.atMs > nowMs) continue;
      delayed.delete(entry);
      entry.work();
    }
  };

  const waitMs = (): number => {
    let soonestMs = performance.now() + MAX_WAIT_MS;
    for (const { atMs } of delayed) soonestMs = Math.min(soonestMs, atMs);
    return Math.max(0, Math.ceil(soonestMs - performance.now()));
  };

  const watch = (fd: number, direction: 'input' | 'room', onReady: () => void): (() => void) => {
    epollAdd(epoll, fd, direction);
    watched.set(fd, onReady);
    return () => {
      if (watched.get(fd) !== onReady) return;
      watched.delete(fd);
      epollRemove(epoll, fd);
    };
  };

  return {
    watch: (fd, onReadable) => watch(fd, 'input', onReadable),
    watchRoom: (fd, onRoom) => watch(fd, 'room', onRoom),
    after(delayMs, work) {
      const entry = { atMs: performance.now() + delayMs, work };
      delayed.add(entry);
      return () => void delayed.delete(entry);
    },
    turn() {
      pulse.atRest();
      const ready = epollWait(epoll, waitMs());
      pulse.atWork();
      // A callback earlier in this turn may have stopped the watch of this descriptor.
      for (const fd of ready) watched.get(fd)?.();
      runDelayed();
    },
  };
}

const MAX_WAIT_MS = 1000;
