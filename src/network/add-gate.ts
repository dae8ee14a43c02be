import { unlessAborted } from '../base/time.js';
import { stopReason } from './plugin-call.js';

/**
 * Keeps ADD and GC of all networks apart. A plugin that collects garbage releases every attachment that it was not
 * given, and would release the address of an ADD that began after the list was made.
 */
export interface AddGate {
  /** Runs an ADD; waits for a running GC. */
  add<T>(signal: AbortSignal, work: () => Promise<T>): Promise<T>;
  /** Runs a GC once no ADD runs. Returns false when ADDs still run after `limitMs`. New ADDs go first until then. */
  collect(limitMs: number, work: () => Promise<void>): Promise<boolean>;
}

export function createAddGate(): AddGate {
  let adds = 0;
  let collecting: Promise<void> | undefined;
  let onIdle = (): void => undefined;
  return {
    async add(signal, work) {
      while (collecting) {
        await unlessAborted(collecting, signal).catch(() => {
          throw stopReason(signal.reason).prefixed('waiting for the garbage collection of networks');
        });
      }
      adds += 1;
      try {
        return await work();
      } finally {
        adds -= 1;
        if (adds === 0) onIdle();
      }
    },
    async collect(limitMs, work) {
      const endMs = performance.now() + limitMs;
      while (adds > 0 || collecting) {
        const leftMs = endMs - performance.now();
        if (leftMs <= 0) return false;
        await (collecting ?? idleWithin(leftMs, (resolve) => (onIdle = resolve)));
      }
      const run = work();
      collecting = run.catch(() => undefined);
      try {
        await run;
      } finally {
        collecting = undefined;
      }
      return true;
    },
  };
}

async function idleWithin(limitMs: number, whenIdle: (resolve: () => void) => void): Promise<void> {
  let timer: NodeJS.Timeout | undefined;
  await new Promise<void>((resolve) => {
    timer = setTimeout(resolve, limitMs);
    whenIdle(resolve);
  });
  clearTimeout(timer);
}
