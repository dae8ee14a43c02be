import { Worker } from 'node:worker_threads';
import { CriError } from '../../base/errors.js';
import type { TreeCommand, TreeJob, TreeReport } from './tree-job.js';

/**
 * Walks a tree on a thread for its kind of job: copies, removals and relabels do not wait for each other. A thread that
 * is blocked by a system call (a dead file server) gets no further jobs; another thread is started for them. Settles
 * only when the walk has ended: an aborted `signal` ends it at its next entry. UNAVAILABLE when all threads of the kind
 * are blocked.
 */
export async function runTreeJob(job: TreeJob, signal?: AbortSignal): Promise<void> {
  if (signal?.aborted) throw CriError.from(signal.reason);
  const lane = lanes[job.kind];
  const thread = lane.find(({ isHeld }) => !isHeld()) ?? startThread(job, lane);
  return thread.run(job, signal);
}

const MAX_THREADS_PER_KIND = 4;
/** A thread that has jobs and is silent for longer gets no further jobs. */
const HELD_MS = 5_000;
const IDLE_MS = 60_000;
/** A walk needs little memory; the limit is for a bug in a walk. */
const MAX_HEAP_MIB = 128;
const MAX_YOUNG_MIB = 4;

const lanes: Readonly<Record<TreeJob['kind'], Thread[]>> = { copy: [], remove: [], relabel: [] };

interface Thread {
  run(job: TreeJob, signal: AbortSignal | undefined): Promise<void>;
  isHeld(): boolean;
  /** The paths of its jobs. */
  paths(): string[];
}

interface Pending {
  readonly path: string;
  readonly end: (error?: CriError) => void;
  readonly reason: () => unknown;
}

function startThread({ kind, path }: TreeJob, lane: Thread[]): Thread {
  if (lane.length >= MAX_THREADS_PER_KIND) {
    const held = lane.flatMap((thread) => thread.paths().slice(0, 1)).join(', ');
    throw new CriError(
      'UNAVAILABLE',
      `${kind} ${path}: these paths have not answered for ${HELD_MS / 1000} s: ${held}`,
    );
  }
  const resourceLimits = { maxOldGenerationSizeMb: MAX_HEAP_MIB, maxYoungGenerationSizeMb: MAX_YOUNG_MIB };
  const worker = new Worker(new URL('./tree-worker.js', import.meta.url), { resourceLimits });
  const pending = new Map<number, Pending>();
  /** Infinity until the thread runs, since the start of a thread takes long on a busy machine. */
  let aliveMs = Infinity;
  let idle: NodeJS.Timeout | undefined;
  let lastId = 0;

  const leaveLane = (): void => {
    if (lane.includes(thread)) lane.splice(lane.indexOf(thread), 1);
  };
  const rest = (): void => {
    worker.unref();
    idle = setTimeout(() => {
      leaveLane();
      worker.terminate().catch(() => undefined);
    }, IDLE_MS).unref();
  };
  const settle = (id: number, error?: CriError): void => {
    pending.get(id)?.end(error);
    pending.delete(id);
    if (pending.size === 0) rest();
  };
  const fail = (error: CriError): void => {
    leaveLane();
    for (const id of [...pending.keys()]) settle(id, error);
    clearTimeout(idle);
  };

  worker.once('online', () => (aliveMs = performance.now()));
  worker.on('message', (report: TreeReport) => {
    aliveMs = performance.now();
    if (report.kind === 'done') settle(report.id);
    else if (report.kind === 'failed') settle(report.id, failureOf(report));
    else if (report.kind === 'stopped') settle(report.id, CriError.from(pending.get(report.id)?.reason()));
  });
  worker.on('error', (error: Error) =>
    fail(new CriError('INTERNAL', `tree thread: ${error.message}`, { cause: error })),
  );
  worker.on('exit', () => fail(new CriError('INTERNAL', 'the tree thread has ended')));

  const thread: Thread = {
    isHeld: () => pending.size > 0 && performance.now() - aliveMs > HELD_MS,
    paths: () => [...pending.values()].map((one) => one.path),
    run: (job, signal) =>
      new Promise((resolve, reject) => {
        const id = (lastId += 1);
        const post = (command: TreeCommand): void => worker.postMessage(command);
        const onAbort = (): void => post({ kind: 'stop', id });
        const end = (error?: CriError): void => {
          signal?.removeEventListener('abort', onAbort);
          if (error) reject(error);
          else resolve();
        };
        clearTimeout(idle);
        worker.ref();
        if (pending.size === 0 && aliveMs !== Infinity) aliveMs = performance.now();
        pending.set(id, { path: job.path, end, reason: () => signal?.reason as unknown });
        signal?.addEventListener('abort', onAbort, { once: true });
        post({ kind: 'start', id, job });
      }),
  };
  lane.push(thread);
  return thread;
}

/** Makes a CriError as an error of `node:fs` on this thread would give: its cause carries the errno. */
function failureOf({ code, message, errno }: Extract<TreeReport, { kind: 'failed' }>): CriError {
  const cause = errno === undefined ? undefined : Object.assign(new Error(errno), { code: errno });
  return new CriError(code, message, cause === undefined ? {} : { cause });
}
