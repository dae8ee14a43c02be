import { inBackground } from '../base/background.js';
import { withoutContext } from '../base/context.js';
import { CriError, isCode } from '../base/errors.js';
import type { Logger } from '../base/log.js';
import { sleep } from '../base/time.js';
import type { Containerd, Exit } from '../containerd/containerd.js';
import { createExitTries, type TaskLogKey } from './exit-tries.js';

/** Learns how tasks end, from a Wait on each task and from the event stream, whichever reports first. */
export interface Exits {
  /** Begins to watch the task of a container or of a pod's sandbox. `wait` replaces the Wait on the task. */
  watch(id: string, wait?: (signal: AbortSignal) => Promise<Exit>): void;
  /** Ends the watch, for a task that is gone or never ran. */
  unwatch(id: string): void;
  /** Ends the watch and the handling of the exit, for a task whose end is no longer of interest. */
  forget(id: string): void;
  /** Reports an exit of the init process of `id`, from the event stream. */
  report(id: string, exit: Exit): void;
  /** Handles an exit that happened before any watch; resolves when the first try has ended. */
  found(id: string, exit: Exit | undefined): Promise<void>;
  /**
   * Resolves when the try to handle an exit of `id` has ended, whether or not it succeeded. Retries a failed one at
   * once.
   */
  handled(id: string): Promise<void>;
  /** Whether the task of `id` has been deleted after its exit was seen. */
  isTaken(id: string): boolean;
  /** As `handled`, but deletes the task even when its exit cannot be recorded. */
  takeAway(id: string): Promise<void>;
  /** Ends every watch. */
  close(): void;
}

/**
 * The exit of a task that is gone may still come in the event stream: a shim that cannot reach containerd retries after
 * pauses that grow to 5 s.
 */
const LATE_EVENT_MS = 7_000;
const WAIT_AGAIN_MS = 1_000;

/** `onExit` gets each exit, or undefined for an exit that was not seen, and is retried until it succeeds. */
export function createExits(options: {
  containerd: Pick<Containerd, 'tasks'>;
  log: Logger;
  onExit: (id: string, exit: Exit | undefined) => Promise<void>;
  logKey: (id: string) => TaskLogKey;
  takeTask: (id: string) => Promise<void>;
}): Exits {
  const { log, onExit, logKey, takeTask } = options;
  const watches = new Map<string, AbortController>();
  const tries = createExitTries({ log, onExit, logKey });

  const settle = (id: string, exit: Exit | undefined): void => {
    const watch = watches.get(id);
    if (!watch) return;
    watches.delete(id);
    watch.abort(new CriError('CANCELLED', 'exit known'));
    inBackground(log, 'handling an exit', tries.begin(id, exit));
  };

  const unwatch = (id: string): void => {
    watches.get(id)?.abort(new CriError('CANCELLED', 'no longer watched'));
    watches.delete(id);
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
        log.debug({ ...logKey(id), err: CriError.from(thrown).message }, 'wait for exit interrupted');
        await sleep(WAIT_AGAIN_MS, signal);
      }
    }
  };

  return {
    watch(id, wait = waitForTask(id)) {
      if (watches.has(id)) return;
      const watch = new AbortController();
      watches.set(id, watch);
      withoutContext(() => follow(id, wait, watch.signal)).catch(() => undefined);
    },
    unwatch,
    forget(id) {
      unwatch(id);
      tries.forget(id);
    },
    report: settle,
    found(id, exit) {
      unwatch(id);
      return tries.begin(id, exit);
    },
    handled: (id) => tries.now(id),
    isTaken: (id) => tries.hasSucceeded(id),
    async takeAway(id) {
      await tries.now(id);
      if (tries.isPending(id)) await takeTask(id);
    },
    close() {
      tries.close();
      for (const watch of watches.values()) watch.abort(new CriError('CANCELLED', 'crid stops'));
      watches.clear();
    },
  };
}
