import { CriError } from './errors.js';
import type { Logger } from './log.js';

let failures = 0;

/**
 * Owns a promise that no caller waits for: a failure is logged and counted, and never ends crid. The linter refuses
 * `void promise` and, in a statement, `.catch(handler)` with a handler from elsewhere and `.finally(…)`: each of them
 * can leave a rejection without an owner.
 */
export function inBackground(log: Pick<Logger, 'warn'>, what: string, work: Promise<unknown>): void {
  work.catch((thrown: unknown) => {
    failures += 1;
    log.warn({ err: CriError.from(thrown).message }, `${what} failed`);
  });
}

/** The number of background promises that have failed since crid started. */
export const backgroundFailures = (): number => failures;
