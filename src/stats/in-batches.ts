import { setImmediate } from 'node:timers/promises';
import { CriError } from '../base/errors.js';

/** Batch size, and the time in milliseconds after which the loop yields to the event loop. */
const AT_ONCE = 32;
const TURN_MS = 5;

/** Runs `work` on each item and returns the results in order. A failed item is passed to `onFailed` and left out. */
export async function eachAlone<T, R>(
  items: readonly T[],
  work: (item: T) => Promise<R> | R,
  onFailed: (item: T, error: CriError) => void,
): Promise<R[]> {
  const answers: R[] = [];
  let turnMs = performance.now();
  for (let next = 0; next < items.length; next += AT_ONCE) {
    const batch = items.slice(next, next + AT_ONCE);
    const settled = await Promise.allSettled(batch.map(async (item) => work(item)));
    settled.forEach((outcome, index) => {
      if (outcome.status === 'fulfilled') answers.push(outcome.value);
      else onFailed(batch[index]!, CriError.from(outcome.reason));
    });
    if (performance.now() - turnMs < TURN_MS) continue;
    await setImmediate();
    turnMs = performance.now();
  }
  return answers;
}
