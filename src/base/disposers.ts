import { CriError } from './errors.js';
import type { Logger } from './log.js';

/** The parts that have been created and must be closed. The part that was created last is closed first. */
export interface Disposers {
  /**
   * Registers the close of a part; call it on the line after the part is created. `close` receives the time that work
   * in progress has to finish.
   */
  add(what: string, close: (limitMs: number) => unknown): Registered;
  /** Closes every part, one after the other. A failure is logged. A later call returns the promise of the first one. */
  close(limitMs: number): Promise<void>;
}

export interface Registered {
  /** Closes the part before all those that have been registered until now. */
  raise(): void;
}

export function createDisposers(log: Pick<Logger, 'warn'>): Disposers {
  const entries: { readonly what: string; readonly close: (limitMs: number) => unknown }[] = [];
  let closed: Promise<void> | undefined;

  const closeAll = async (limitMs: number): Promise<void> => {
    for (let entry = entries.pop(); entry; entry = entries.pop()) {
      try {
        await entry.close(limitMs);
      } catch (thrown) {
        log.warn({ err: CriError.from(thrown).message }, `${entry.what} not closed`);
      }
    }
  };

  return {
    add(what, close) {
      const entry = { what, close };
      entries.push(entry);
      return {
        raise() {
          entries.splice(entries.indexOf(entry), 1);
          entries.push(entry);
        },
      };
    },
    close: (limitMs) => (closed ??= closeAll(limitMs)),
  };
}
