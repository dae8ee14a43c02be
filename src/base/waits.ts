import { AsyncLocalStorage } from 'node:async_hooks';

/** The things outside crid that the work of one step waits for. */
export interface Waits {
  /** Returns text such as `shim 42 (stopped) to answer tasks.kill`, or undefined if the work waits for nothing. */
  describe(): string | undefined;
}

type Wait = () => string;
/** Bounds the text: a pod with a hundred containers stops them all in one step. */
const MAX_NAMED = 3;
const storage = new AsyncLocalStorage<Set<Wait>>();

/** Runs `work`. `onWaits` receives the description of its waits. */
export function collectWaits<T>(work: () => T, onWaits: (waits: Waits) => void): T {
  const waits = new Set<Wait>();
  onWaits({
    describe: () => {
      const names = [...new Set([...waits].map((wait) => wait()))];
      const more = names.length > MAX_NAMED ? [`${names.length - MAX_NAMED} more`] : [];
      return names.length === 0 ? undefined : [...names.slice(0, MAX_NAMED), ...more].join(', ');
    },
  });
  return storage.run(waits, work);
}

/**
 * Records that the current step, if any, waits for what `describe` names. Call the returned function when the wait is
 * over.
 */
export function beginWait(describe: Wait): () => void {
  const waits = storage.getStore();
  waits?.add(describe);
  return () => void waits?.delete(describe);
}
