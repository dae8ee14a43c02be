import { CriError, isCode } from '../base/errors.js';
import type { Logger } from '../base/log.js';
import { sleep } from '../base/time.js';
import type { Containerd, Exit } from '../containerd/containerd.js';

/** Learns how tasks end, from a Wait on each and from the event stream, whichever is first. */
export interface Exits {
  /** Begins to watch the task of a container or of a pod's sandbox; `wait` where something else tells of its end. */
  watch(id: string, wait?: (signal: AbortSignal) => Promise<Exit>): void;
  /** Ends the watch, for one whose end is no longer of interest. */
  forget(id: string): void;
  /** What the event stream has said about the init process of `id`. */
  report(id: string, exit: Exit): void;
  /** Resolves when no exit of `id` is being handled: its task has been taken away. */
  handled(id: string): Promise<void>;
  /** Whether the task of `id` has been taken away after its exit. */
  isTaken(id: string): boolean;
  /** Ends every watch. */
  close(): void;
}

/**
 * A task that is gone may still have its exit in the event stream: a shim that could not reach containerd tries again
 * after pauses that grow to 5 s.
 */
const LATE_EVENT_MS = 7_000;
const RETRY_FIRST_MS = 1_000;
const RETRY_LAST_MS = 5 * 60_000;

/**
 * `onExit` gets each exit once, undefined where nobody saw it. When it fails it is called again, after 1 s and up to
 * 5 min, until it succeeds.
 */
export function createExits(options: {
  containerd: Pick<Containerd, 'tasks'>;
  log: Logger;
  onExit: (id: string, exit: Exit | undefined) => Promise<void>;
}): Exits {
  const { log, onExit } = options;
  const watches = new Map<string, AbortController>();
  const taken = new Set<string>();
  const closing = new AbortController();
  const handling = new Map<string, Promise<void>>();

  const handle = async (id: string, exit: Exit | undefined): Promise<void> => {
    for (let pauseMs = RETRY_FIRST_MS; ; pauseMs = Math.min(pauseMs * 2, RETRY_LAST_MS)) {
      try {
        return await onExit(id, exit);
      } catch (thrown) {
        log.warn({ id, err: CriError.from(thrown).message, pauseMs }, 'exit not handled, trying again');
        await sleep(pauseMs, closing.signal);
      }
    }
  };

  const settle = (id: string, exit: Exit | undefined): void => {
    const watch = watches.get(id);
    if (!watch) return;
    watches.delete(id);
    watch.abort(new CriError('CANCELLED', 'exit known'));
    const work = handle(id, exit)
      .then(() => void taken.add(id))
      .catch(() => undefined)
      .finally(() => handling.delete(id));
    handling.set(id, work);
  };

  const waitForTask =
    (id: string) =>
    (signal: AbortSignal): Promise<Exit> =>
      options.containerd.tasks.wait({ containerId: id }, { signal });

  const follow = async (
    id: string,
    wait: (signal: AbortSignal) => Promise<Exit>,
    signal: AbortSignal,
  ): Promise<void> => {
    while (!signal.aborted) {
      try {
        settle(id, await wait(signal));
        return;
      } catch (thrown) {
        if (signal.aborted) return;
        if (isCode(thrown, 'NOT_FOUND')) {
          await sleep(LATE_EVENT_MS, signal);
          settle(id, undefined);
          return;
        }
        log.debug({ id, err: CriError.from(thrown).message }, 'wait for exit interrupted');
        await sleep(RETRY_FIRST_MS, signal);
      }
    }
  };

  return {
    watch(id, wait = waitForTask(id)) {
      if (watches.has(id)) return;
      const watch = new AbortController();
      watches.set(id, watch);
      follow(id, wait, watch.signal).catch(() => undefined);
    },
    forget(id) {
      watches.get(id)?.abort(new CriError('CANCELLED', 'no longer watched'));
      watches.delete(id);
      taken.delete(id);
    },
    report: settle,
    handled: (id) => handling.get(id) ?? Promise.resolve(),
    isTaken: (id) => taken.has(id),
    close() {
      closing.abort(new CriError('CANCELLED', 'crid stops'));
      for (const watch of watches.values()) watch.abort(new CriError('CANCELLED', 'crid stops'));
      watches.clear();
    },
  };
}
