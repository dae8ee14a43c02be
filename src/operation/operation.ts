import { randomUUID } from 'node:crypto';
import { CriError } from '../base/errors.js';
import { logOf, type Logger } from '../base/log.js';
import { createSteps, type Steps, type StepHook } from './steps.js';

/** Who asked, and how long they wait. The operation itself may outlive both. */
export interface Caller {
  /** Aborts when the caller has gone or its deadline has passed. */
  readonly signal?: AbortSignal | undefined;
  /** Milliseconds since the epoch. The answer is sent a little before it, so that it says which step is waited on. */
  readonly deadlineMs?: number | undefined;
}

export interface OperationRequest<T> {
  /** A verb phrase as people read it: `run pod sandbox`. */
  readonly kind: string;
  /** What it is done to, as people read it: `default/web`, a container's id, an image's reference. */
  readonly subject: string;
  /** One operation at a time runs under a key; `pod:ID`, `container:ID`, `pod-name:NAME`, `image:REF`. */
  readonly key: string;
  /** A second request of the same kind, key and fingerprint joins the one that runs. */
  readonly fingerprint?: string | undefined;
  readonly caller: Caller;
  /** The longest that the operation may run, whoever waits for it. */
  readonly limitMs: number;
  readonly work: (steps: Steps) => Promise<T>;
  /**
   * Decides what becomes of the object of a failed operation. Called once, after every undo was tried, with the error
   * and the steps whose undo failed.
   */
  readonly onFailed?: ((error: CriError, failedUndo: readonly string[]) => Promise<void> | void) | undefined;
}

/** A running operation as `Status` and `crid why` show it. */
export interface RunningOperation {
  readonly id: string;
  readonly kind: string;
  readonly subject: string;
  readonly startedAtMs: number;
  /** How many callers wait for it now. */
  readonly waiters: number;
  readonly steps: readonly {
    readonly name: string;
    readonly sinceMs: number;
    readonly waitingOn: string | undefined;
  }[];
}

export interface Operations {
  /**
   * Runs an operation, joins the equal one that already runs, or queues behind another one on the same key.
   * Rejects with DEADLINE_EXCEEDED, naming the step that is waited on, when the caller's time runs out first; the
   * operation then goes on, and a retry joins it.
   */
  run<T>(request: OperationRequest<T>): Promise<T>;
  list(): RunningOperation[];
  /** Whether one runs under this key, or waits for its turn; of one of these kinds, if they are given. */
  isBusy(key: string, kinds?: readonly string[]): boolean;
  /** Resolves when none runs any more, or after `timeoutMs`; answers how many still run. */
  drain(timeoutMs: number): Promise<number>;
}

interface Running {
  readonly id: string;
  readonly request: OperationRequest<unknown>;
  readonly startedAtMs: number;
  readonly steps: Steps;
  readonly outcome: Promise<unknown>;
  waiters: number;
}

/** The caller gets its answer this long before its deadline, at most a tenth of what it gave. */
const ANSWER_EARLY_MS = 500;
/** Timers wrap above this one, and would ring at once. */
const MAX_TIMER_MS = 2 ** 31 - 1;

export function createOperations(options: { log: Logger; hook?: StepHook }): Operations {
  /** Every running operation, by key in order of arrival: the first one works, the others wait for it. */
  const queues = new Map<string, Running[]>();

  const start = <T>(request: OperationRequest<T>): Running => {
    const id = randomUUID();
    const log = logOf(options.log).child({ operation: request.kind, subject: request.subject });
    const ahead = queues.get(request.key) ?? [];
    const steps = createSteps({ kind: request.kind, limitMs: request.limitMs, log, hook: options.hook });
    const outcome = (async () => {
      try {
        await turnOf(ahead, steps);
        return await runToEnd(request, steps, log);
      } finally {
        steps.end();
      }
    })();
    const running: Running = { id, request, startedAtMs: Date.now(), steps, outcome, waiters: 0 };
    queues.set(request.key, [...ahead, running]);
    const leaveQueue = (): void => {
      const rest = (queues.get(request.key) ?? []).filter((other) => other !== running);
      if (rest.length > 0) queues.set(request.key, rest);
      else queues.delete(request.key);
    };
    outcome.then(leaveQueue, leaveQueue).catch(() => undefined);
    return running;
  };

  const all = (): Running[] => [...queues.values()].flat();

  return {
    async run<T>(request: OperationRequest<T>): Promise<T> {
      const last = queues.get(request.key)?.at(-1);
      const joined = last && isEqual(last.request, request) ? last : undefined;
      if (joined)
        logOf(options.log).info({ operation: request.kind, subject: request.subject }, 'joined the running operation');
      const running = joined ?? start(request);
      running.waiters++;
      try {
        return (await untilCallerLeaves(running, request.caller)) as T;
      } finally {
        running.waiters--;
      }
    },
    list: () =>
      all().map(({ id, request, startedAtMs, waiters, steps }) => ({
        id,
        kind: request.kind,
        subject: request.subject,
        startedAtMs,
        waiters,
        steps: steps.running(),
      })),
    isBusy: (key, kinds) =>
      (queues.get(key) ?? []).some(({ request }) => kinds === undefined || kinds.includes(request.kind)),
    async drain(timeoutMs) {
      const settled = Promise.allSettled(all().map((running) => running.outcome));
      let timer: NodeJS.Timeout | undefined;
      await Promise.race([settled, new Promise((resolve) => (timer = setTimeout(resolve, timeoutMs)))]);
      clearTimeout(timer);
      return all().length;
    },
  };
}

/** Milliseconds until the caller must have its answer, a little before its deadline; undefined when it has none. */
export function answerDueInMs({ deadlineMs }: Caller): number | undefined {
  if (deadlineMs === undefined) return undefined;
  const remainingMs = deadlineMs - Date.now();
  return Math.min(MAX_TIMER_MS, Math.max(0, remainingMs - Math.min(ANSWER_EARLY_MS, remainingMs / 10)));
}

const isEqual = (a: OperationRequest<unknown>, b: OperationRequest<unknown>): boolean =>
  a.kind === b.kind && a.key === b.key && a.fingerprint !== undefined && a.fingerprint === b.fingerprint;

async function runToEnd<T>(request: OperationRequest<T>, steps: Steps, log: Logger): Promise<T> {
  try {
    return await request.work(steps);
  } catch (thrown) {
    const error = CriError.from(thrown);
    const failed = await steps.undo();
    log.warn({ err: error.message, code: error.code, undoFailed: failed }, 'operation failed');
    await request.onFailed?.(error, failed);
    throw error;
  }
}

/** Waits for all that came before: the last of them may give up its own wait while the first still works. */
async function turnOf(ahead: readonly Running[], steps: Steps): Promise<void> {
  const last = ahead.at(-1);
  if (!last) return;
  await steps.step(`wait for ${last.request.kind}`, () => Promise.allSettled(ahead.map(({ outcome }) => outcome)));
}

/** Waits for the outcome, but no longer than the caller does. */
async function untilCallerLeaves(running: Running, caller: Caller): Promise<unknown> {
  const { kind, subject, fingerprint } = running.request;
  let timer: NodeJS.Timeout | undefined;
  let onAbort: (() => void) | undefined;
  const left = new Promise<never>((_, reject) => {
    const leave = (): void => {
      const waiting = running.steps.describe() ?? 'about to start';
      const after = fingerprint === undefined ? '' : '; it goes on, a retry joins it';
      reject(new CriError('DEADLINE_EXCEEDED', `${kind} ${subject}: ${waiting}${after}`));
    };
    onAbort = leave;
    if (caller.signal?.aborted) return leave();
    caller.signal?.addEventListener('abort', leave, { once: true });
    const dueMs = answerDueInMs(caller);
    if (dueMs !== undefined) timer = setTimeout(leave, dueMs);
  });
  try {
    return await Promise.race([running.outcome, left]);
  } finally {
    clearTimeout(timer);
    if (onAbort) caller.signal?.removeEventListener('abort', onAbort);
  }
}
