import { createKeyedQueue } from '../base/async.js';
import { unlessAborted } from '../base/time.js';
import { stopReason } from './plugin-call.js';

/** Runs one `work` at a time for each pod, in the order of the calls. Stops waiting when `signal` aborts. */
export type PodLocks = <T>(podId: string, signal: AbortSignal, work: () => Promise<T>) => Promise<T>;

export function createPodLocks(): PodLocks {
  const inTurn = createKeyedQueue();
  return (podId, signal, work) =>
    inTurn(podId, work, (turn) =>
      unlessAborted(turn, signal).catch(() => {
        throw stopReason(signal.reason).prefixed(`pod ${podId}: waiting for its network's last operation`);
      }),
    );
}
