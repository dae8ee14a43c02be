import { inBackground } from '../base/background.js';
import { CriError } from '../base/errors.js';
import type { Logger } from '../base/log.js';
import { sleep } from '../base/time.js';
import type { Exit } from '../containerd/containerd.js';

/** Handles exits that have been noticed: each is tried until it succeeds. */
export interface ExitTries {
  /**
   * Begins to handle an exit; resolves when the first try has ended, whether or not it succeeded. Works like `now` for
   * an exit that is pending already.
   */
  begin(id: string, exit: Exit | undefined): Promise<void>;
  /** Retries a pending exit at once; resolves when that try, or the one under way, has ended. */
  now(id: string): Promise<void>;
  /** Whether the handling has begun and has not succeeded. */
  isPending(id: string): boolean;
  /** Whether the handling of an exit that was seen has succeeded. */
  hasSucceeded(id: string): boolean;
  /** Ends the tries for `id` and forgets whether they succeeded. */
  forget(id: string): void;
  close(): void;
}

/** The key of a task's id in the log: a pod's sandbox has a task, and so has a container. */
export type TaskLogKey = { readonly pod: string } | { readonly container: string };

const RETRY_FIRST_MS = 1_000;
/**
 * Longest pause, after which freed space on a full disk is noticed. A try costs two small writes and a call to the
 * shim.
 */
const RETRY_LAST_MS = 30_000;

export function createExitTries(options: {
  log: Logger;
  onExit: (id: string, exit: Exit | undefined) => Promise<void>;
  logKey: (id: string) => TaskLogKey;
  firstPauseMs?: number;
}): ExitTries {
  const { log, onExit, logKey, firstPauseMs = RETRY_FIRST_MS } = options;
  const pending = new Map<string, Handling>();
  const succeeded = new Set<string>();

  const tryOnce = async (id: string, { exit, end }: Handling): Promise<void> => {
    try {
      await onExit(id, exit);
      if (end.signal.aborted) return;
      pending.delete(id);
      // After an exit that was not seen, a removal looks once more for what is left.
      if (exit) succeeded.add(id);
      end.abort();
    } catch (thrown) {
      log.warn({ ...logKey(id), err: CriError.from(thrown).message }, 'exit not handled, trying again');
    }
  };
  /** Calls during a try share it. */
  const attempt = (id: string, handling: Handling): Promise<void> =>
    (handling.attempt ??= tryOnce(id, handling).finally(() => (handling.attempt = undefined)));
  const tryOn = async (id: string, handling: Handling): Promise<void> => {
    const { signal } = handling.end;
    for (let pauseMs = firstPauseMs; ; pauseMs = Math.min(pauseMs * 2, RETRY_LAST_MS)) {
      await attempt(id, handling);
      await sleep(pauseMs, signal).catch(() => undefined);
      if (signal.aborted) return;
    }
  };
  const end = (id: string): void => {
    pending.get(id)?.end.abort();
    pending.delete(id);
  };

  return {
    async begin(id, exit) {
      const begun = pending.get(id);
      if (begun) return attempt(id, begun);
      const handling: Handling = { exit, end: new AbortController(), attempt: undefined };
      pending.set(id, handling);
      inBackground(log, 'handling an exit', tryOn(id, handling));
      await handling.attempt;
    },
    async now(id) {
      const handling = pending.get(id);
      if (handling) await attempt(id, handling);
    },
    isPending: (id) => pending.has(id),
    hasSucceeded: (id) => succeeded.has(id),
    forget(id) {
      end(id);
      succeeded.delete(id);
    },
    close() {
      for (const id of [...pending.keys()]) end(id);
    },
  };
}

interface Handling {
  readonly exit: Exit | undefined;
  /** Aborts when the handling has succeeded or must not be tried again. */
  readonly end: AbortController;
  attempt: Promise<void> | undefined;
}
