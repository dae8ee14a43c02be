import { CriError } from '../base/errors.js';
import { sleep } from '../base/time.js';

/** Time as a move measures it. */
export interface Clock {
  /** On a monotonic clock. */
  nowMs(): number;
  sleep(ms: number, signal?: AbortSignal): Promise<void>;
}

export const realClock: Clock = { nowMs: () => performance.now(), sleep };

export interface Wait {
  readonly clock: Clock;
  readonly limitMs: number;
  readonly signal?: AbortSignal | undefined;
}

/** How long a CRI server may take until it responds and lists all containers. */
export const SERVER_LIMIT_MS = 120_000;
const ASK_MS = 200;

/** Asks again and again until `isSo`. DEADLINE_EXCEEDED with the problem after the limit. */
export async function until(
  { clock, limitMs, signal }: Wait,
  problem: string | (() => string),
  isSo: () => Promise<boolean>,
): Promise<void> {
  const endMs = clock.nowMs() + limitMs;
  while (!(await isSo())) {
    if (clock.nowMs() >= endMs)
      throw new CriError('DEADLINE_EXCEEDED', typeof problem === 'string' ? problem : problem());
    await clock.sleep(ASK_MS, signal);
  }
}
