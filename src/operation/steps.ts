import { setMaxListeners } from 'node:events';
import { CriError } from '../base/errors.js';
import type { Logger } from '../base/log.js';
import { inSpan } from '../base/in-span.js';
import { sleep, startTimer, wallMs, withLimit } from '../base/time.js';
import { collectWaits, type Waits } from '../base/waits.js';

export interface StepOptions {
  /** Time limit of the step, 5 min by default; DEADLINE_EXCEEDED names the step. */
  readonly timeoutMs?: number | undefined;
  /** How long the step may go on after its time-out or the operation's failure before it is abandoned; default 1 s. */
  readonly windDownMs?: number | undefined;
  /** Time limit of each attempt to undo the step; default 1 min. */
  readonly undoTimeoutMs?: number | undefined;
  /**
   * Names what the step waits for now: `plugin bridge`. Without this, a step names the containerd calls that it waits
   * for.
   */
  readonly waitingOn?: (() => string | undefined) | undefined;
  /**
   * The step only waits: other operations on the same key run meanwhile. After the step the operation takes the key
   * again, before operations that have not held it yet. Read again whatever those may have changed. Not for a step that
   * runs in parallel with others of its operation.
   */
  readonly givesKeyAway?: boolean | undefined;
}

/** The key of the operation that the steps belong to. */
export interface KeyOfSteps {
  take(): Promise<void>;
  release(): void;
}

/** The named steps of one operation. */
export interface Steps {
  /** Aborts when the operation's limit has passed, or when one of its steps has failed. */
  readonly signal: AbortSignal;
  /**
   * Runs one step. `undo` reverts what the step did, in whole or in part. It runs when the operation fails later, and
   * also when the step itself fails or times out, so it must succeed when there is nothing to undo.
   */
  step<T>(
    name: string,
    run: (signal: AbortSignal) => Promise<T>,
    undo?: () => Promise<void>,
    options?: StepOptions,
  ): Promise<T>;
  /**
   * Fails the operation with `error`, as a failed step does: the signals of running steps abort, and all steps are
   * undone.
   */
  abort(error: CriError): void;
  /**
   * The milliseconds until the last caller of the operation must have its response; undefined when none has a deadline,
   * and when no caller waits any more.
   */
  answerDueInMs(): number | undefined;
  /** The steps that run now. `sinceMs` is on the wall clock. */
  running(): { name: string; sinceMs: number; waitingOn: string | undefined }[];
  /** `add network: waiting 28 s for plugin bridge`, or undefined between two steps. */
  describe(): string | undefined;
  /** Undoes every step that was begun, last first; returns the names of the steps whose undo failed. */
  undo(): Promise<string[]>;
  /** Releases the operation's timer. */
  end(): void;
}

/**
 * Called as every step begins and ends: for metrics, spans, and the fault harness, which may throw, hang or kill here.
 */
export interface StepHook {
  before?(kind: string, step: string): Promise<void> | void;
  after?(
    kind: string,
    step: string,
    outcome: { durationMs: number; error: CriError | undefined },
  ): Promise<void> | void;
}

/** Time limit and number of attempts for each undo. */
const UNDO_TIMEOUT_MS = 60_000;
const UNDO_TRIES = 3;
const UNDO_PAUSE_MS = 250;
const STEP_TIMEOUT_MS = 5 * 60_000;
const WIND_DOWN_MS = 1_000;

interface Begun {
  readonly name: string;
  readonly undo: (() => Promise<void>) | undefined;
  readonly undoTimeoutMs: number | undefined;
  readonly settled: Promise<unknown>;
}

interface Running {
  readonly name: string;
  /** On the monotonic clock. */
  readonly startedMs: number;
  readonly sinceMs: number;
  readonly waitingOn: (() => string | undefined) | undefined;
}

export function createSteps(options: {
  kind: string;
  limitMs: number;
  log: Logger;
  hook?: StepHook | undefined;
  key?: KeyOfSteps | undefined;
  answerDueInMs?: (() => number | undefined) | undefined;
}): Steps {
  const { kind, log, hook, key } = options;
  const abort = new AbortController();
  // A pod of a hundred containers stops them all under one signal.
  setMaxListeners(0, abort.signal);
  const limit = startTimer(options.limitMs, () => {
    abort.abort(new CriError('DEADLINE_EXCEEDED', `${kind}: not done within ${options.limitMs / 1000} s`));
  });
  const begun: Begun[] = [];
  const running = new Set<Running>();

  const runStep = async <T>(
    name: string,
    run: (signal: AbortSignal) => Promise<T>,
    step: StepOptions | undefined,
  ): Promise<T> => {
    let waits: Waits | undefined;
    const waitingOn = (): string | undefined => step?.waitingOn?.() ?? waits?.describe();
    const now: Running = { name, startedMs: performance.now(), sinceMs: wallMs(), waitingOn };
    running.add(now);
    let error: CriError | undefined;
    try {
      await hook?.before?.(kind, name);
      // The operation may have been aborted while the hook ran.
      if (abort.signal.aborted) throw CriError.from(abort.signal.reason);
      const work = (signal: AbortSignal): Promise<T> =>
        collectWaits(
          () => run(signal),
          (all) => (waits = all),
        );
      return await withinTime(work, { ...step, waitingOn }, abort.signal);
    } catch (thrown) {
      error = CriError.from(thrown).prefixed(name);
      abort.abort(error);
      throw error;
    } finally {
      running.delete(now);
      const durationMs = Math.round(performance.now() - now.startedMs);
      log.debug(
        { step: name, durationMs, ...(error ? { err: error.message } : {}) },
        error ? 'step failed' : 'step done',
      );
      await hook?.after?.(kind, name, { durationMs, error });
    }
  };

  return {
    signal: abort.signal,
    async step(name, run, undo, step) {
      if (abort.signal.aborted) throw CriError.from(abort.signal.reason);
      if (step?.givesKeyAway) key?.release();
      const work = inSpan(`${kind}: ${name}`, () => runStep(name, run, step));
      begun.push({ name, undo, undoTimeoutMs: step?.undoTimeoutMs, settled: work.catch(() => undefined) });
      if (!step?.givesKeyAway) return work;
      const result = await work;
      await key?.take();
      return result;
    },
    abort: (error) => abort.abort(error),
    answerDueInMs: () => options.answerDueInMs?.(),
    running: () => [...running].map(({ name, sinceMs, waitingOn }) => ({ name, sinceMs, waitingOn: waitingOn?.() })),
    describe() {
      const texts = [...running].map(describeStep);
      return texts.length > 0 ? texts.join('; ') : undefined;
    },
    async undo() {
      abort.abort(new CriError('ABORTED', `${kind}: undone`));
      await Promise.all(begun.map((step) => step.settled));
      const failed: string[] = [];
      for (const step of begun.splice(0).reverse()) {
        if (!(await undoOne(step, log))) failed.push(step.name);
      }
      return failed;
    },
    end: () => limit.clear(),
  };
}

function describeStep(step: Running): string {
  const seconds = Math.round((performance.now() - step.startedMs) / 1000);
  const on = step.waitingOn?.();
  return `${step.name}: waiting ${seconds} s${on ? ` for ${on}` : ''}`;
}

/** Returns the step's result, or throws when its time or the operation's has run out; the work's signal then aborts. */
async function withinTime<T>(
  run: (signal: AbortSignal) => Promise<T>,
  { timeoutMs = STEP_TIMEOUT_MS, windDownMs = WIND_DOWN_MS, waitingOn }: StepOptions,
  operation: AbortSignal,
): Promise<T> {
  const own = new AbortController();
  setMaxListeners(0, own.signal);
  let stop: ((reason: unknown) => void) | undefined;
  const stopped = new Promise<never>((_, reject) => {
    stop = (reason) => {
      own.abort(reason);
      // Work that honours its signal fails first, with an error that says what it waited for.
      setTimeout(() => reject(CriError.from(reason)), windDownMs).unref();
    };
  });
  const timer = startTimer(timeoutMs, () => {
    const on = waitingOn?.();
    stop?.(new CriError('DEADLINE_EXCEEDED', `no answer within ${timeoutMs / 1000} s${on ? ` from ${on}` : ''}`));
  });
  const onAbort = (): void => stop?.(operation.reason);
  operation.addEventListener('abort', onAbort, { once: true });
  try {
    return await Promise.race([run(own.signal), stopped]);
  } finally {
    timer.clear();
    operation.removeEventListener('abort', onAbort);
  }
}

async function undoOne({ name, undo, undoTimeoutMs = UNDO_TIMEOUT_MS }: Begun, log: Logger): Promise<boolean> {
  if (!undo) return true;
  for (let attempt = 1; ; attempt++) {
    try {
      await withLimit(undo(), undoTimeoutMs, () => notUndone(undoTimeoutMs));
      log.debug({ step: name }, 'step undone');
      return true;
    } catch (thrown) {
      const err = CriError.from(thrown).message;
      if (attempt === UNDO_TRIES) {
        log.error({ step: name, err }, 'undo failed');
        return false;
      }
      log.warn({ step: name, err, attempt }, 'undo failed, trying again');
      await sleep(UNDO_PAUSE_MS * 4 ** (attempt - 1));
    }
  }
}

function notUndone(limitMs: number): never {
  throw new CriError('DEADLINE_EXCEEDED', `not done within ${limitMs / 1000} s`);
}
