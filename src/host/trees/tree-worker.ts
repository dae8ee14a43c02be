/** A tree thread: walks trees with system calls that block, away from the server's event loop. Its jobs take turns. */
import { parentPort } from 'node:worker_threads';
import { errnoName, fsError } from '../syscall/errno.js';
import { walkOf, type TreeCommand, type TreeJob, type TreeReport } from './tree-job.js';

const SLICE_MS = 10;
const STEPS_PER_LOOK = 16;
const ALIVE_MS = 250;

interface Running {
  readonly id: number;
  readonly job: TreeJob;
  readonly walk: Generator<void, void>;
}

let jobs: Running[] = [];
let saidMs = 0;

parentPort?.on('message', (command: TreeCommand) => {
  if (command.kind === 'stop') return stop(command.id);
  jobs.push({ id: command.id, job: command.job, walk: walkOf(command.job) });
  if (jobs.length === 1) setImmediate(turn);
});

/** Runs one slice of each job; commands are received between two turns. */
function turn(): void {
  for (const running of [...jobs]) {
    const report = slice(running);
    if (report !== undefined) end(running.id, report);
  }
  if (jobs.length === 0) return;
  const nowMs = performance.now();
  if (nowMs - saidMs > ALIVE_MS) {
    saidMs = nowMs;
    parentPort?.postMessage({ kind: 'alive' } satisfies TreeReport);
  }
  setImmediate(turn);
}

function slice({ id, job, walk }: Running): TreeReport | undefined {
  const endMs = performance.now() + SLICE_MS;
  try {
    do {
      for (let step = 0; step < STEPS_PER_LOOK; step += 1) if (walk.next().done) return { kind: 'done', id };
    } while (performance.now() < endMs);
    return undefined;
  } catch (thrown) {
    const { code, message } = fsError(thrown, job.path);
    return { kind: 'failed', id, code, message, errno: errnoName(thrown) };
  }
}

function stop(id: number): void {
  const running = jobs.find((one) => one.id === id);
  // `return` makes the walk close its descriptors.
  running?.walk.return();
  if (running) end(id, { kind: 'stopped', id });
}

function end(id: number, report: TreeReport): void {
  jobs = jobs.filter((one) => one.id !== id);
  parentPort?.postMessage(report);
}
