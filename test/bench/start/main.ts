import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { Command, InvalidArgumentError } from 'commander';
import { writeContainerdConfig } from '../../../tools/stack/containerd-config.js';
import { disposeAll, onDispose } from '../../../tools/stack/disposers.js';
import { stackLayout } from '../../../tools/stack/layout.js';
import { spokenSteps } from '../../../tools/stack/steps.js';
import { startCrid, type Crid } from '../../harness/crid.js';
import { criClient, type CriClient } from '../../harness/cri-client.js';
import { podConfig, pullImage, removeAllPods, runPod } from '../../harness/pod.js';
import { startStack, type Stack } from '../../harness/test-stack.js';
import { rewriteResults } from '../document.js';
import { environment, type Environment } from '../environment.js';
import { firstAnswers, type FirstAnswers } from './answers.js';
import { addRecords, recordsOfAPod, type Template } from './records.js';
import { startReport, type Case, type Series } from './report.js';
import { killWhileCreating, slowHandlerToml, writeSlowRuntime } from './slow-runtime.js';

/**
 * Measures the time from a start to the first response: of crid with a running containerd, and of a restarted
 * containerd with its own CRI plugin on the same records.
 */

interface Options {
  readonly rounds: number;
  readonly halfMade: number;
  readonly series: number;
  readonly kills: number;
  readonly records: readonly number[];
  readonly write?: string;
}

interface Bench {
  readonly stack: Stack;
  readonly crid: Crid;
  /** A client of containerd's own CRI, while that is enabled. */
  readonly plugin: CriClient;
  /** The folder of the slow OCI runtime. */
  readonly folder: string;
  /** Restarts containerd with or without its CRI plugin. */
  setPlugin(on: boolean): Promise<void>;
}

const RUNNING_PODS = 5;
/** The number of pods in creation at the moment of a kill. */
const CREATES_AT_ONCE = 4;
const KILL_AFTER_STEP_MS = 40;

const options = new Command('bench-start')
  .description("Times the first answer after a start, of crid and of containerd's own CRI plugin")
  .option('--rounds <n>', 'starts of each server with each number of records', wholeNumber, 5)
  .option('--records <numbers>', 'how many pods and containers, with commas', wholeNumbers, [0, 100, 1_000])
  .option('--half-made <n>', 'pods that are being made at the moment of a kill', wholeNumber, 20)
  .option('--series <n>', 'of kills in the middle of creates', wholeNumber, 5)
  .option('--kills <n>', 'in each series', wholeNumber, 12)
  .option('--write <file>', 'rewrite the results in this document')
  .parse()
  .opts<Options>();

function wholeNumber(text: string): number {
  if (!/^[1-9]\d{0,4}$/.test(text)) throw new InvalidArgumentError('expected a whole number from 1 to 99999');
  return Number(text);
}

function wholeNumbers(text: string): number[] {
  if (!/^\d{1,5}(,\d{1,5})*$/.test(text)) throw new InvalidArgumentError('expected whole numbers with commas');
  return text.split(',').map(Number);
}

const step = spokenSteps((text) => void process.stderr.write(text));

async function main(): Promise<void> {
  const { bench, before } = await prepare();
  const series = await step(`${options.series} series of ${options.kills} kills`, () => killSeries(bench));
  const cases = [await halfMade(bench), ...(await withRecords(bench))];
  const text = startReport(before, cases, series);
  process.stdout.write(`${text}\n`);
  if (options.write !== undefined) await rewriteResults(options.write, text, 'make bench-start');
  await step('stop all', disposeAll);
}

async function prepare(): Promise<{ bench: Bench; before: Environment }> {
  const layout = stackLayout();
  const folder = await mkdtemp(join(tmpdir(), 'crid-bench-start-'));
  onDispose('slow runtime', () => rm(folder, { recursive: true, force: true }));
  const toml = slowHandlerToml(await writeSlowRuntime(join(layout.bin, 'runc'), folder));
  const settings = { runtime: { netns_mounts_under_state_dir: true }, extraToml: toml };
  const stack = await startStack({ ...settings, cri: true, step });
  const plugin = criClient(stack.containerd.socket);
  onDispose('client', () => Promise.resolve(plugin.close()));
  const before = await environment({ reference: plugin });
  const setPlugin = async (cri: boolean): Promise<void> => {
    await stack.containerd.stop();
    await writeContainerdConfig(layout, stack.containerd, stack.cniConfDir, { ...settings, cri });
    await stack.containerd.start();
  };
  await setPlugin(false);
  const crid = await startCrid(stack, { config: { crid: { log_level: 'info' } } });
  await pullImage(crid);
  await (await runPod(crid, stack)).remove();
  return { bench: { stack, crid, plugin, folder, setPlugin }, before };
}

/** Kills crid in the middle of creates, repeatedly. Like a kubelet, it then requests the same pods again. */
async function killSeries(bench: Bench): Promise<Series[]> {
  const { crid, stack } = bench;
  const all: Series[] = [];
  for (let number = 0; number < options.series; number += 1) {
    const answersMs: number[] = [];
    for (let kill = 0; kill < options.kills; kill += 1) {
      const configs = await Promise.all(Array.from({ length: CREATES_AT_ONCE }, () => podConfig(stack)));
      const calls = Promise.allSettled(configs.map((config) => crid.runtime.runPodSandbox({ config })));
      await sleep(kill * KILL_AFTER_STEP_MS);
      await crid.kill9();
      await calls;
      answersMs.push((await startOfCrid(bench)).listContainersMs);
    }
    all.push({ answersMs });
    await crid.settled();
    await removeAllPods(crid);
  }
  return all;
}

const startOfCrid = ({ crid }: Bench): Promise<FirstAnswers> => firstAnswers(crid);

async function restartOfContainerd({ stack: { containerd } }: Bench): Promise<FirstAnswers> {
  await rm(containerd.socket, { force: true });
  return firstAnswers(containerd);
}

/** Kills both servers while they create pods with a slow OCI runtime, which leaves shims without an owner. */
async function halfMade(bench: Bench): Promise<Case> {
  const { crid, plugin, stack, folder } = bench;
  const name = `${options.halfMade} half-made pods with their shims`;
  const ofCrid: FirstAnswers[] = [];
  const ofPlugin: FirstAnswers[] = [];
  const settledMs: number[] = [];
  const rounds = Math.min(options.rounds, MOST_HALF_MADE_ROUNDS);
  await step(`crid: ${name}`, async () => {
    for (let round = 0; round < rounds; round += 1) {
      await killWhileCreating(crid, stack, folder, options.halfMade, () => crid.kill9());
      const startedMs = performance.now();
      ofCrid.push(await startOfCrid(bench));
      await crid.settled();
      settledMs.push(performance.now() - startedMs);
    }
    await crid.stop();
  });
  await bench.setPlugin(true);
  await step(`containerd: ${name}`, async () => {
    for (let round = 0; round < rounds; round += 1) {
      await killWhileCreating(plugin, stack, folder, options.halfMade, () => stack.containerd.kill());
      ofPlugin.push(await restartOfContainerd(bench));
      await removeAllPods(plugin);
    }
  });
  await bench.setPlugin(false);
  await crid.start();
  await crid.settled();
  await removeAllPods(crid);
  return { name, records: options.halfMade, crid: ofCrid, settledMs, plugin: ofPlugin };
}

const MOST_HALF_MADE_ROUNDS = 3;

async function withRecords(bench: Bench): Promise<Case[]> {
  const { crid, stack } = bench;
  const template: Template = await recordsOfAPod(crid, stack);
  const cases: Case[] = [];
  let present = 0;
  for (const records of options.records) {
    if (present === 0 && records > 0) {
      for (let pod = 0; pod < RUNNING_PODS; pod += 1) await (await runPod(crid, stack)).run();
      present = 2 * RUNNING_PODS;
    }
    const more = Math.max(0, records - present);
    await step(`${records} records`, () => addRecords(stack, template, more));
    present += more;
    cases.push(await step(`starts with ${records} records`, () => startsWith(bench, records)));
  }
  return cases;
}

async function startsWith(bench: Bench, records: number): Promise<Case> {
  const { crid, stack } = bench;
  const ofCrid: FirstAnswers[] = [];
  const ofPlugin: FirstAnswers[] = [];
  const settledMs: number[] = [];
  for (let round = 0; round < options.rounds; round += 1) {
    await crid.kill9();
    const startedMs = performance.now();
    ofCrid.push(await startOfCrid(bench));
    await crid.settled();
    settledMs.push(performance.now() - startedMs);
  }
  await crid.stop();
  await bench.setPlugin(true);
  for (let round = 0; round < options.rounds; round += 1) {
    await stack.containerd.kill();
    ofPlugin.push(await restartOfContainerd(bench));
  }
  await bench.setPlugin(false);
  await crid.start();
  await crid.settled();
  return { name: `${records} records`, records, crid: ofCrid, settledMs, plugin: ofPlugin };
}

try {
  await main();
} catch (thrown) {
  process.stderr.write(`bench-start: ${(thrown as Error).stack ?? String(thrown)}\n`);
  process.exitCode = 1;
} finally {
  await disposeAll();
}
