import { randomUUID } from 'node:crypto';
import { CriError } from '../base/errors.js';
import { inSpan } from '../base/in-span.js';
import { logOf, type Logger } from '../base/log.js';
import { startTimer, wallMs, withLimit, type Timer } from '../base/time.js';
import { beginWait } from '../base/waits.js';
import { createKeyQueue, type KeyQueue } from './key-queue.js';
import { createSteps, type Steps, type StepHook } from './steps.js';

/** The caller of an operation and how long it waits. The operation itself may outlive both. */
export interface Caller {
  /** Aborts when the caller has disconnected or its deadline has passed. */
  readonly signal?: AbortSignal | undefined;
  /**
   * On the monotonic clock (`performance.now()`). The caller gets an error a little before it, which names the step in
   * progress.
   */
  readonly deadlineMs?: number | undefined;
}

export interface OperationRequest<T> {
  /** A verb phrase as people read it: `run pod sandbox`. */
  readonly kind: string;
  /** The object of the operation as people read it: `default/web`, a container's id, an image's reference. */
  readonly subject: string;
  /** Only one operation at a time runs under a key: `pod:ID`, `container:ID`, `pod-name:NAME`, `image:REF`. */
  readonly key: string;
  /**
   * A second request of the same kind, key and fingerprint joins the running operation, if that is the last on its key
   * or has released the key while it waits.
   */
  readonly fingerprint?: string | undefined;
  /** Kinds of operations on the same key that this operation aborts when it wants the key. */
  readonly cutsShort?: readonly string[] | undefined;
  readonly caller: Caller;
  /** Time limit of the operation, whether or not callers wait for it. */
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
  /** How many callers wait for the operation now. */
  readonly waiters: number;
  readonly steps: readonly {
    readonly name: string;
    readonly sinceMs: number;
    readonly waitingOn: string | undefined;
  }[];
}

export interface Operations {
  /**
   * Runs an operation, joins an equal one that already runs, or queues behind another one on the same key. Rejects with
   * DEADLINE_EXCEEDED, which names the step in progress, when the caller's time runs out first; the operation then goes
   * on, and a retry joins it.
   */
  run<T>(request: OperationRequest<T>): Promise<T>;
  list(): RunningOperation[];
  /** Whether an operation runs or is queued under this key; only of these kinds, if they are given. */
  isBusy(key: string, kinds?: readonly string[]): boolean;
  /** Resolves when no operation runs any more, or after `timeoutMs`, to the number of operations that still run. */
  drain(timeoutMs: number): Promise<number>;
}

interface Running {
  readonly id: string;
  readonly request: OperationRequest<unknown>;
  readonly startedAtMs: number;
  readonly steps: Steps;
  readonly outcome: Promise<unknown>;
  /** True while the operation has released the key. */
  aside: boolean;
  isBeingDescribed: boolean;
  /** Those that wait for the outcome now. */
  readonly callers: Set<Caller>;
}

/** The operations on one key, in order of arrival, and their queue for it. */
interface Queue {
  readonly keyQueue: KeyQueue<Running>;
  readonly all: Set<Running>;
}

/** The caller gets its error this long before its deadline, but at most a tenth of its remaining time before. */
const ANSWER_EARLY_MS = 500;

export function createOperations(options: { log: Logger; hook?: StepHook }): Operations {
  const queues = new Map<string, Queue>();

  const start = <T>(request: OperationRequest<T>): Running => {
    const queue: Queue = queues.get(request.key) ?? { keyQueue: createKeyQueue(), all: new Set() };
    queues.set(request.key, queue);
    const running = begin(queue, request, options);
    queue.all.add(running);
    const leaveQueue = (): void => {
      queue.all.delete(running);
      queue.keyQueue.release(running);
      if (queue.all.size === 0) queues.delete(request.key);
    };
    running.outcome.then(leaveQueue, leaveQueue).catch(() => undefined);
    return running;
  };

  const all = (): Running[] => [...queues.values()].flatMap((queue) => [...queue.all]);

  return {
    async run<T>(request: OperationRequest<T>): Promise<T> {
      const before = [...(queues.get(request.key)?.all ?? [])];
      const last = before.at(-1);
      const joined = before.find((other) => (other === last || other.aside) && isEqual(other.request, request));
      if (joined) logOf(options.log).info(logFacts(request), 'joined the running operation');
      const running = joined ?? start(request);
      const caller = { ...request.caller };
      running.callers.add(caller);
      // A step that calls this reports what the operation waits for.
      const endWait = beginWait(() => describe(running));
      try {
        const outcome = (): Promise<unknown> => untilCallerLeaves(running, caller);
        // The steps are spans of the call that began the operation.
        return (await (joined ? inSpan(`wait for the running ${request.kind}`, outcome) : outcome())) as T;
      } finally {
        endWait();
        running.callers.delete(caller);
      }
    },
    list: () =>
      all().map(({ id, request, startedAtMs, callers, steps }) => ({
        id,
        kind: request.kind,
        subject: request.subject,
        startedAtMs,
        waiters: callers.size,
        steps: steps.running(),
      })),
    isBusy: (key, kinds) =>
      [...(queues.get(key)?.all ?? [])].some(({ request }) => kinds === undefined || kinds.includes(request.kind)),
    async drain(timeoutMs) {
      const settled = Promise.allSettled(all().map((running) => running.outcome));
      await withLimit(settled, timeoutMs, () => []);
      return all().length;
    },
  };
}

/**
 * Returns the milliseconds until the caller must have its response, a little before its deadline; undefined without a
 * deadline.
 */
export function answerDueInMs({ deadlineMs }: Caller): number | undefined {
  if (deadlineMs === undefined) return undefined;
  const remainingMs = deadlineMs - performance.now();
  return Math.max(0, remainingMs - Math.min(ANSWER_EARLY_MS, remainingMs / 10));
}

function lastDueInMs(callers: ReadonlySet<Caller>): number | undefined {
  const due = [...callers].map(answerDueInMs);
  return due.length === 0 || due.includes(undefined) ? undefined : Math.max(...(due as number[]));
}

const isEqual = (a: OperationRequest<unknown>, b: OperationRequest<unknown>): boolean =>
  a.kind === b.kind && a.key === b.key && a.fingerprint !== undefined && a.fingerprint === b.fingerprint;

function begin<T>(queue: Queue, request: OperationRequest<T>, options: { log: Logger; hook?: StepHook }): Running {
  const log = logOf(options.log).child(logFacts(request));
  const key = {
    take: async () => {
      await turnOf(queue, running);
      running.aside = false;
    },
    release: () => {
      running.aside = true;
      queue.keyQueue.release(running);
    },
  };
  const callers = new Set<Caller>();
  const steps = createSteps({
    ...{ kind: request.kind, limitMs: request.limitMs, log, hook: options.hook, key },
    answerDueInMs: () => lastDueInMs(callers),
  });
  // The work begins only after `running` has been assigned.
  const outcome = Promise.resolve().then(async () => {
    try {
      await turnOf(queue, running);
      return await runToEnd(request, steps, log, () => queue.keyQueue.take(running));
    } finally {
      steps.end();
    }
  });
  const running: Running = {
    id: randomUUID(),
    request,
    startedAtMs: wallMs(),
    steps,
    outcome,
    aside: false,
    isBeingDescribed: false,
    callers,
  };
  return running;
}

/** Adds `pod` or `container` with the id, so that the log can be searched for it. */
function logFacts({ kind, subject, key }: OperationRequest<unknown>): Readonly<Record<string, string>> {
  const [, name, id] = /^(pod|container):(.*)$/.exec(key) ?? [];
  return { operation: kind, subject, ...(name !== undefined && id !== undefined && { [name]: id }) };
}

/** `takeKey`: undo needs the key, also when the failed step had released it. */
async function runToEnd<T>(
  request: OperationRequest<T>,
  steps: Steps,
  log: Logger,
  takeKey: () => Promise<void>,
): Promise<T> {
  try {
    return await request.work(steps);
  } catch (thrown) {
    const error = CriError.from(thrown);
    await takeKey();
    const failed = await steps.undo();
    log.warn({ err: error.message, code: error.code, undoFailed: failed }, 'operation failed');
    await request.onFailed?.(error, failed);
    throw error;
  }
}

/** Takes the key: at once, or in a step that names the operation that holds it. */
async function turnOf({ keyQueue, all }: Queue, running: Running): Promise<void> {
  const { kind, cutsShort } = running.request;
  for (const { request, steps } of all) {
    if (cutsShort?.includes(request.kind)) steps.abort(new CriError('ABORTED', `cut short by ${kind}`));
  }
  const { holder } = keyQueue;
  if (holder === undefined || holder === running) return keyQueue.take(running);
  await running.steps.step(
    `wait for ${holder.request.kind}`,
    (signal) => keyQueue.take(running, signal),
    undefined,
    // Only the operation's own limit applies.
    { timeoutMs: Infinity, waitingOn: () => keyQueue.holder && describe(keyQueue.holder) },
  );
}

/** `stop container 3f2a… (send SIGKILL: waiting 3 s for …)`. */
function describe(running: Running): string {
  const { kind, subject } = running.request;
  // Two operations that wait for each other would recurse without end.
  const step = running.isBeingDescribed ? undefined : describeStep(running);
  return `${kind} ${subject}${step === undefined ? '' : ` (${step})`}`;
}

function describeStep(running: Running): string | undefined {
  running.isBeingDescribed = true;
  try {
    return running.steps.describe();
  } finally {
    running.isBeingDescribed = false;
  }
}

/** Waits for the outcome, but no longer than the caller does. */
async function untilCallerLeaves(running: Running, caller: Caller): Promise<unknown> {
  const { kind, subject, fingerprint } = running.request;
  let timer: Timer | undefined;
  let onAbort: (() => void) | undefined;
  const left = new Promise<never>((_, reject) => {
    const leave = (): void => {
      const waiting = running.steps.describe() ?? 'about to start';
      const after = fingerprint === undefined ? '' : '; it continues, a retry joins it';
      reject(new CriError('DEADLINE_EXCEEDED', `${kind} ${subject}: ${waiting}${after}`));
    };
    onAbort = leave;
    if (caller.signal?.aborted) return leave();
    caller.signal?.addEventListener('abort', leave, { once: true });
    const dueMs = answerDueInMs(caller);
    if (dueMs !== undefined) timer = startTimer(dueMs, leave);
  });
  try {
    return await Promise.race([running.outcome, left]);
  } finally {
    timer?.clear();
    if (onAbort) caller.signal?.removeEventListener('abort', onAbort);
  }
}
