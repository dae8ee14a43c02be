import type { Logger } from './log.js';

/** The last resort for errors that no code handled, in any thread. */
export interface LastResort {
  /** Logs the error with its stack and counts it. Exits when the errors come at the rate of a loop. */
  onUnhandled(thrown: unknown, origin: string): void;
}

/**
 * More errors than this in a minute mean a loop, which fills the log and keeps crid from its work. A restart takes a
 * second and leaves the pods as they are.
 */
export const MAX_UNHANDLED_PER_MINUTE = 30;
const MINUTE_MS = 60_000;

let count = 0;

/** The number of errors that reached the last resort since crid started. */
export const unhandledErrors = (): number => count;

/**
 * Installs the last resort of the process. It handles this thread's errors, and those that other threads report to it.
 */
export function installLastResort(log: Logger): LastResort {
  const lastResort = createLastResort({ log, exit: () => process.exit(1) });
  routeUnhandled(lastResort.onUnhandled);
  return lastResort;
}

/** `exit` ends the process. It is called once at most. */
export function createLastResort(options: {
  log: Pick<Logger, 'error' | 'fatal'>;
  exit: () => void;
  nowMs?: () => number;
}): LastResort {
  const { log, exit, nowMs = () => performance.now() } = options;
  let recentMs: number[] = [];
  let exiting = false;
  return {
    onUnhandled(thrown, origin) {
      count += 1;
      recentMs = [...recentMs.filter((atMs) => atMs > nowMs() - MINUTE_MS), nowMs()];
      if (exiting) return;
      log.error({ err: describe(thrown), stack: stackOf(thrown), origin }, 'unhandled error, crid continues');
      if (recentMs.length <= MAX_UNHANDLED_PER_MINUTE) return;
      exiting = true;
      log.fatal({ unhandledErrors: recentMs.length }, 'too many unhandled errors within a minute, crid exits');
      exit();
    },
  };
}

/**
 * Routes this thread's unhandled rejections and uncaught exceptions to `onUnhandled`. Node's default ends the process
 * or the thread, so the error of one call would break every call and stream.
 */
export function routeUnhandled(onUnhandled: LastResort['onUnhandled']): void {
  process.on('unhandledRejection', (reason) => onUnhandled(reason, 'unhandledRejection'));
  process.on('uncaughtException', (error) => onUnhandled(error, 'uncaughtException'));
}

const describe = (thrown: unknown): string => (thrown instanceof Error ? thrown.message : String(thrown));

/** Returns the stacks of the error and of its causes. */
function stackOf(thrown: unknown): string {
  const stacks: string[] = [];
  for (let error = thrown; error instanceof Error && stacks.length < MAX_CAUSES; error = error.cause) {
    stacks.push(error.stack ?? error.message);
  }
  return stacks.join('\ncaused by: ');
}

const MAX_CAUSES = 5;
