import { unlessAborted } from '../base/time.js';
import { stopReason } from './plugin-call.js';

/** Runs one `work` at a time for each pod, in the order of the calls. Stops waiting when `signal` aborts. */
export type PodLocks = <T>(podId: string, signal: AbortSignal, work: () => Promise<T>) => Promise<T>;

export function createPodLocks(): PodLocks {
  const tails = new Map<string, Promise<void>>();
  return async (podId, signal, work) => {
    const before = tails.get(podId) ?? Promise.resolve();
    let release!: () => void;
    const mine = new Promise<void>((resolve) => (release = resolve));
    const tail = before.then(() => mine);
    tails.set(podId, tail);
    const forget = (): void => {
      if (tails.get(podId) === tail) tails.delete(podId);
    };
    tail.then(forget, forget);
    try {
      await unlessAborted(before, signal).catch(() => {
        throw stopReason(signal.reason).prefixed(`pod ${podId}: waiting for its network's last operation`);
      });
      return await work();
    } finally {
      release();
    }
  };
}
