import { setTimeout as sleep } from 'node:timers/promises';
import { Command, InvalidArgumentError } from 'commander';
import { disposeAll } from '../../../tools/stack/disposers.js';
import { spokenSteps } from '../../../tools/stack/steps.js';
import { startCrid, type Crid } from '../../harness/crid.js';
import { pullImage, runPod } from '../../harness/pod.js';
import { startStack } from '../../harness/test-stack.js';
import { rewriteResults } from '../document.js';
import { environment } from '../environment.js';
import { cpuMs, memory } from '../processes.js';
import { median, percentile } from '../statistics.js';
import { table } from '../table.js';
import { connects, firstAnswers } from './answers.js';
import { addRecords, recordsOfAPod } from './records.js';

/**
 * Measures restarts of crid (SIGTERM, then a start): how long its socket accepts no connection, the time to the first
 * answer, and what the process has used then and when all work of the start has ended.
 */

interface Restart {
  /** The longest time in which no connection succeeded. */
  readonly gapMs: number;
  /** From SIGTERM to the first answered ListContainers. */
  readonly answerMs: number;
  readonly usedMs: number;
  readonly settledUsedMs: number;
  readonly rssMiB: number;
}

const CONNECT_EVERY_MS = 5;
const RUNNING_PODS = 5;

const options = new Command('bench-restart')
  .description('Times the gap of the socket at restarts of crid, with CPU time and memory')
  .option('--rounds <n>', 'restarts with each number of records', wholeNumber, 5)
  .option('--records <n>', 'pods and containers in the second case', wholeNumber, 1_000)
  .option('--write <file>', 'rewrite the results in this document')
  .parse()
  .opts<{ readonly rounds: number; readonly records: number; readonly write?: string }>();

function wholeNumber(text: string): number {
  if (!/^[1-9]\d{0,4}$/.test(text)) throw new InvalidArgumentError('expected a whole number from 1 to 99999');
  return Number(text);
}

const step = spokenSteps((text) => void process.stderr.write(text));

async function main(): Promise<void> {
  const stack = await startStack({ runtime: { netns_mounts_under_state_dir: true }, step });
  const crid = await startCrid(stack, { config: { crid: { log_level: 'info' } } });
  const { date, kernel, cpus, load, node, commit } = await environment({ reference: crid });
  await pullImage(crid);
  const template = await recordsOfAPod(crid, stack);
  const empty = await step('restarts with 0 records', () => restarts(crid));
  for (let pod = 0; pod < RUNNING_PODS; pod += 1) await (await runPod(crid, stack)).run();
  await step('records', () => addRecords(stack, template, Math.max(0, options.records - 2 * RUNNING_PODS)));
  await crid.restart();
  const full = await step(`restarts with ${options.records} records`, () => restarts(crid));
  const text = [
    `${date}, Linux ${kernel}, ${cpus} CPUs, load ${load.toFixed(1)} at the start, Node ${node}, commit ${commit}.`,
    table([
      ['records', 'n', 'gap s', 'p95', 'first answer s', 'CPU s', 'CPU s, all done', 'RSS MiB, all done'],
      row('0', empty),
      row(String(options.records), full),
    ]),
  ].join('\n\n');
  process.stdout.write(`${text}\n`);
  if (options.write !== undefined) await rewriteResults(options.write, text, 'make bench-restart');
  await step('stop all', disposeAll);
}

async function restarts(crid: Crid): Promise<Restart[]> {
  const all: Restart[] = [];
  for (let round = 0; round < options.rounds; round += 1) all.push(await restart(crid));
  return all;
}

async function restart(crid: Crid): Promise<Restart> {
  await crid.settled();
  const longestGap = watchConnections(crid.socket);
  const signalledMs = performance.now();
  await crid.stop();
  const stoppedMs = performance.now();
  const { listContainersMs, usedMs } = await firstAnswers(crid);
  const gapMs = await longestGap();
  await crid.settled();
  const pid = crid.pid();
  return {
    gapMs,
    answerMs: stoppedMs - signalledMs + listContainersMs,
    usedMs,
    settledUsedMs: cpuMs(pid),
    rssMiB: memory(pid).rssMiB,
  };
}

/** Connects again and again. The returned function ends that, and returns the longest time without a connection. */
function watchConnections(socket: string): () => Promise<number> {
  let longestMs = 0;
  let isWatching = true;
  const watching = (async (): Promise<void> => {
    let lastMs = performance.now();
    while (isWatching) {
      if (await connects(socket)) {
        longestMs = Math.max(longestMs, performance.now() - lastMs);
        lastMs = performance.now();
      }
      await sleep(CONNECT_EVERY_MS);
    }
  })();
  return async () => {
    isWatching = false;
    await watching;
    return longestMs;
  };
}

function row(name: string, all: readonly Restart[]): string[] {
  const of = (value: (each: Restart) => number): number[] => all.map(value);
  return [
    name,
    String(all.length),
    seconds(median(of(({ gapMs }) => gapMs))),
    seconds(
      percentile(
        of(({ gapMs }) => gapMs),
        0.95,
      ),
    ),
    seconds(median(of(({ answerMs }) => answerMs))),
    seconds(median(of(({ usedMs }) => usedMs))),
    seconds(median(of(({ settledUsedMs }) => settledUsedMs))),
    median(of(({ rssMiB }) => rssMiB)).toFixed(0),
  ];
}

const seconds = (ms: number): string => (ms / 1_000).toFixed(2);

try {
  await main();
} catch (thrown) {
  process.stderr.write(`bench-restart: ${(thrown as Error).stack ?? String(thrown)}\n`);
  process.exitCode = 1;
} finally {
  await disposeAll();
}
