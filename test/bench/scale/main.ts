import { Command, InvalidArgumentError } from 'commander';
import { setTimeout as sleep } from 'node:timers/promises';
import PQueue from 'p-queue';
import { disposeAll } from '../../../tools/stack/disposers.js';
import { spokenSteps } from '../../../tools/stack/steps.js';
import { createContainer, runPod, type Bench } from '../bench.js';
import { rewriteResults } from '../document.js';
import { environment, type Environment } from '../environment.js';
import { memory } from '../processes.js';
import { createRecorder, type Recorder } from '../recorder.js';
import { milliseconds, table } from '../report.js';
import { createRequests } from '../requests.js';
import { startServers, type Servers } from '../servers.js';
import { onBoth, type Both, type Side } from '../side.js';
import { median, percentile } from '../statistics.js';
import { answered, LISTS, STATS, STREAMS, type Calls } from './calls.js';
import { cpuOf, likeKubelet, STATS_EVERY_MS, type PerMinute } from './rhythm.js';

/**
 * Measures the lists and statistics of a full node. Each server gets the same pods and containers on one containerd:
 * some of them run, the others are only records (and snapshots) that CreateContainer has made.
 */

interface Options {
  readonly containers: number;
  readonly pods: number;
  /** Running containers in each pod. */
  readonly running: number;
  readonly rounds: number;
  readonly seconds: number;
  readonly write?: string;
}

interface Measured {
  readonly before: Environment;
  /** The calls that both sides have. */
  readonly recorder: Recorder;
  /** Milliseconds of each call that only crid has. */
  readonly alone: Readonly<Record<string, readonly number[]>>;
  readonly idle: PerMinute;
  readonly rhythm: Both<PerMinute>;
}

const AT_ONCE = 4;
const WARM_UP_ROUNDS = 10;

const options = new Command('bench-scale')
  .description("Times the lists and statistics of a full node, of crid and of containerd's own CRI plugin")
  .option('--containers <n>', 'on each side', wholeNumber, 1_000)
  .option('--pods <n>', 'on each side', wholeNumber, 25)
  .option('--running <n>', 'of the containers, in each pod', wholeNumber, 4)
  .option('--rounds <n>', 'of each call', wholeNumber, 50)
  .option('--seconds <n>', "at a kubelet's rhythm, on each side", wholeNumber, 45)
  .option('--write <file>', 'rewrite the results in this document')
  .parse()
  .opts<Options>();

function wholeNumber(text: string): number {
  if (!/^[1-9]\d{0,4}$/.test(text)) throw new InvalidArgumentError('expected a whole number from 1 to 99999');
  return Number(text);
}

const step = spokenSteps((text) => void process.stderr.write(text));

async function main(): Promise<void> {
  const servers = await startServers({ rounds: options.rounds, only: [], self: false }, step);
  const text = await measure(servers).then((measured) => report(measured, servers));
  await step('remove the pods, look for what they left, stop the servers', () => servers.stop());
  process.stdout.write(`${text}\n`);
  if (options.write !== undefined) await rewriteResults(options.write, text, 'make bench-scale');
}

async function measure(servers: Servers): Promise<Measured> {
  const { sides, pids } = servers;
  const recorder = createRecorder({ sides, pids, signal: new AbortController().signal });
  const before = await environment(sides);
  await onBoth(sides, (side) => side.images.pullImage({ image: { image: servers.images.warm } }));
  await step(`${options.pods} pods, ${options.containers} containers on each side`, () =>
    onBoth(sides, (side) => fill(benchOf(servers, recorder), side)),
  );
  // The plugin collects its statistics every ten seconds.
  await sleep(STATS_EVERY_MS);
  const { has: calls, lacks } = await answered({ ...LISTS, ...STATS, ...STREAMS }, sides.reference);
  await step(`${options.rounds} rounds of ${Object.keys(calls).join(', ')}`, () =>
    rounds(calls, (name, call, kept) => recorder.pair(name, call, { kept, settleMs: 0 })),
  );
  const alone = await step(`${options.rounds} rounds of what crid alone has: ${Object.keys(lacks).join(', ')}`, () =>
    timesOf(lacks, sides.candidate),
  );
  await sleep(STATS_EVERY_MS);
  const idle = await step(`${options.seconds} s without a call`, () => cpuOf(servers, options.seconds));
  const rhythm = await onBoth(sides, (side) =>
    step(`${options.seconds} s at a kubelet's rhythm on ${side.name}`, () =>
      cpuOf(servers, options.seconds, (signal) => likeKubelet(side, calls, signal)),
    ),
  );
  return { before, recorder, alone, idle, rhythm };
}

function benchOf({ sides, images, folder }: Servers, recorder: Recorder): Bench {
  const requests = (server: string) =>
    createRequests({ image: images.warm, logRoot: `${folder}/${server}-logs`, server });
  return {
    ...{ sides, recorder, images, rounds: options.rounds },
    requests: { reference: requests('reference'), candidate: requests('candidate') },
  };
}

/** Creates pods with a few running containers each. The other containers are spread over the pods and never started. */
async function fill(bench: Bench, side: Side): Promise<void> {
  const { containers, pods, running } = options;
  const queue = new PQueue({ concurrency: AT_ONCE });
  const made = await Promise.all(Array.from({ length: pods }, () => queue.add(() => runPod(bench, side))));
  await Promise.all(
    Array.from({ length: containers }, (_, index) =>
      queue.add(async () => {
        const id = await createContainer(bench, side, made[index % pods]!, `c${index}`);
        if (index < pods * running) await side.runtime.startContainer({ container_id: id });
      }),
    ),
  );
}

async function rounds(
  calls: Calls,
  work: (name: string, call: Calls[string], kept: boolean) => Promise<unknown>,
): Promise<void> {
  for (let round = -WARM_UP_ROUNDS; round < options.rounds; round++) {
    for (const [name, call] of Object.entries(calls)) await work(name, call, round >= 0);
  }
}

async function timesOf(calls: Calls, side: Side): Promise<Record<string, number[]>> {
  const times: Record<string, number[]> = Object.fromEntries(Object.keys(calls).map((name) => [name, []]));
  await rounds(calls, async (name, call, kept) => {
    const startedMs = performance.now();
    await call(side);
    if (kept) times[name]!.push(performance.now() - startedMs);
  });
  return times;
}

function report({ before, recorder, alone, idle, rhythm }: Measured, { pids }: Servers): string {
  const running = options.pods * options.running;
  return [
    `${before.date}, Linux ${before.kernel}, ${before.cpus} CPUs, ${before.memoryGiB} GiB, load ${before.load.toFixed(1)} at the start, ` +
      `Node ${before.node}, containerd ${before.containerd}${before.commit && `, commit ${before.commit}`}. On each side ` +
      `${options.containers} containers in ${options.pods} pods: ${running} run, ` +
      `${options.containers - running} are records with a snapshot.`,
    table([
      ['operation', 'n', 'containerd p50 ms', 'p99', 'crid p50 ms', 'p99', 'ratio of p50'],
      ...[...recorder.measured.values()].map(({ operation, samples: { reference, candidate } }) => {
        const ratio = (median(candidate) / median(reference)).toFixed(2);
        return [operation, String(candidate.length), ...percentiles(reference), ...percentiles(candidate), ratio];
      }),
      ...Object.entries(alone).map(([name, times]) => [
        name,
        String(times.length),
        '–',
        '–',
        ...percentiles(times),
        '–',
      ]),
    ]),
    table([
      ['CPU seconds in a minute', 'containerd', 'all shims', 'crid', 'together'],
      perMinute('nobody asks', idle),
      perMinute("a kubelet's rhythm, on containerd", rhythm.reference),
      perMinute("a kubelet's rhythm, on crid", rhythm.candidate),
    ]),
    table([
      ['process', 'RSS MiB at the end', 'RSS MiB at most'],
      ...Object.entries(pids).map(([name, pid]) => {
        const { rssMiB, peakMiB } = memory(pid!);
        return [name, rssMiB.toFixed(0), peakMiB.toFixed(0)];
      }),
    ]),
  ].join('\n\n');
}

const percentiles = (times: readonly number[]): [string, string] => [
  milliseconds(median(times)),
  milliseconds(percentile(times, 0.99)),
];

const perMinute = (name: string, { containerdS, shimsS, cridS }: PerMinute): string[] => [
  name,
  ...[containerdS, shimsS, cridS, containerdS + shimsS + cridS].map((seconds) => seconds.toFixed(1)),
];

try {
  await main();
} catch (thrown) {
  process.stderr.write(`bench-scale: ${(thrown as Error).stack ?? String(thrown)}\n`);
  process.exitCode = 1;
} finally {
  // After a failure, the pods are removed first: their undo was registered last.
  await disposeAll();
}
