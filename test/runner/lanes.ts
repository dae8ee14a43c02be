import { fork, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { failure, type Outcome } from './run-files.js';

/** The message that a lane sends after each file. */
export interface LaneReport {
  readonly file: string;
  readonly outcome: Outcome;
  readonly output: string;
}

const LANE = new URL('./lane.js', import.meta.url).pathname;

/**
 * Runs files in `count` parallel processes, each with its own stack, because most tests wait more than they compute.
 * Reports each file when it ends. No file runs twice at the same time, so a test that needs a host resource exclusively
 * must share a file with the other tests that use that resource.
 */
export async function runInLanes(options: {
  files: readonly string[];
  count: number;
  signal: AbortSignal;
  onReport: (report: LaneReport) => void;
}): Promise<void> {
  const { signal, onReport } = options;
  const waiting = [...options.files];
  const lanes = Array.from({ length: Math.min(options.count, waiting.length) }, () => fork(LANE));
  const ended = lanes.map((lane) => once(lane, 'exit'));
  const stop = (): void => lanes.forEach((lane) => lane.connected && lane.disconnect());
  signal.addEventListener('abort', stop, { once: true });
  try {
    await Promise.all(
      lanes.map(async (lane) => {
        for (let file = waiting.shift(); file !== undefined && !signal.aborted; file = waiting.shift()) {
          onReport(await reportOf(lane, file));
        }
      }),
    );
  } finally {
    signal.removeEventListener('abort', stop);
    stop();
    await Promise.all(ended);
  }
}

/** If a lane exits without a report, the file that it ran has failed. */
function reportOf(lane: ChildProcess, file: string): Promise<LaneReport> {
  return new Promise((resolve) => {
    const onExit = (): void => {
      const outcome = failure(new Error(`the process that ran ${file} ended`));
      resolve({ file, outcome, output: '' });
    };
    lane.once('message', (report: LaneReport) => {
      lane.removeListener('exit', onExit);
      resolve(report);
    });
    lane.once('exit', onExit);
    if (lane.connected) lane.send(file);
    else onExit();
  });
}
