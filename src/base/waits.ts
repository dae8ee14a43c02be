import { AsyncLocalStorage } from 'node:async_hooks';

/** What the work of one step waits for outside crid, while it waits. */
export interface Waits {
  /** `shim 42 (stopped) to answer tasks.kill`, or undefined when it waits for nothing. */
  describe(): string | undefined;
}

type Wait = () => string;
/** A pod of a hundred containers stops them all in one step. */
const MAX_NAMED = 3;
const storage = new AsyncLocalStorage<Set<Wait>>();

/** Runs `work`, and tells `onWaits` what it waits for. */
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

/** Notes that the step, if there is one, waits for what `describe` names. Call what is returned when it has come. */
export function beginWait(describe: Wait): () => void {
  const waits = storage.getStore();
  waits?.add(describe);
  return () => void waits?.delete(describe);
}
