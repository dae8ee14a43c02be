import { setTimeout as sleep } from 'node:timers/promises';

/**
 * Calls `ask` until it returns a value other than undefined. After `limitMs` it throws the last error of `ask`, or else
 * an error that contains `what`.
 */
export async function until<T>(
  what: string,
  limitMs: number,
  ask: () => Promise<T | undefined> | T | undefined,
  everyMs = 20,
): Promise<T> {
  const endMs = Date.now() + limitMs;
  for (;;) {
    let last: unknown;
    try {
      const answer = await ask();
      if (answer !== undefined) return answer;
    } catch (error) {
      last = error;
    }
    if (Date.now() > endMs) throw new Error(`${what}: not within ${limitMs} ms`, { cause: last });
    await sleep(everyMs);
  }
}
