import { Command, InvalidArgumentError } from 'commander';
import { setTimeout as sleep } from 'node:timers/promises';
import { ClientError, Status } from 'nice-grpc';
import PQueue from 'p-queue';
import { spokenSteps } from '../../tools/stack/steps.js';
import { createContainer, runPod, type Bench } from './bench.js';
import { rewriteResults } from './document.js';
import { environment } from './environment.js';
import { cpuMs, memory } from './processes.js';
import { createRecorder } from './recorder.js';
import { createRequests } from './requests.js';
import { milliseconds, table } from './report.js';
import { startServers, type Servers } from './servers.js';
import { onBoth, type Both, type Side } from './side.js';
import { median, percentile } from './statistics.js';

/**
 * `scale.js`: the lists and statistics of a full node. Each server gets the same pods and containers on one containerd:
 * some of them run, the others are records (and snapshots) that CreateContainer has made.
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

const AT_ONCE = 4;
const WARM_UP_ROUNDS = 10;
/** What a kubelet asks for, and how often: its pod lifecycle event generator, and its statistics. */
const LIST_EVERY_MS = 1_000;
const STATS_EVERY_MS = 10_000;

type Call = (side: Side) => Promise<unknown>;

const LISTS: Readonly<Record<string, Call>> = {
  ListPodSandbox: ({ runtime }) => runtime.listPodSandbox({}),
  ListContainers: ({ runtime }) => runtime.listContainers({}),
};
const STATS: Readonly<Record<string, Call>> = {
  ListContainerStats: ({ runtime }) => runtime.listContainerStats({}),
  ListPodSandboxStats: ({ runtime }) => runtime.listPodSandboxStats({}),
  ListPodSandboxMetrics: ({ runtime }) => runtime.listPodSandboxMetrics({}),
};
const STREAMS: Readonly<Record<string, Call>> = {
  StreamPodSandboxes: ({ runtime }) => drained(runtime.streamPodSandboxes({})),
  StreamContainers: ({ runtime }) => drained(runtime.streamContainers({})),
  StreamContainerStats: ({ runtime }) => drained(runtime.streamContainerStats({})),
  StreamPodSandboxStats: ({ runtime }) => drained(runtime.streamPodSandboxStats({})),
  StreamPodSandboxMetrics: ({ runtime }) => drained(runtime.streamPodSandboxMetrics({})),
  StreamImages: ({ images }) => drained(images.streamImages({})),
};

async function drained(messages: AsyncIterable<unknown>): Promise<void> {
  for await (const _message of messages);
}

const step = spokenSteps((text) => void process.stderr.write(text));
await main(parseOptions());

function parseOptions(): Options {
  const command = new Command('bench-scale')
    .description("Times the lists and statistics of a full node, of crid and of containerd's own CRI plugin")
    .option('--containers <n>', 'on each side', wholeNumber, 1_000)
    .option('--pods <n>', 'on each side', wholeNumber, 25)
    .option('--running <n>', 'of the containers, in each pod', wholeNumber, 4)
    .option('--rounds <n>', 'of each call', wholeNumber, 50)
    .option('--seconds <n>', "at a kubelet's rhythm, on each side", wholeNumber, 20)
    .option('--write <file>', 'rewrite the results in this document');
  return command.parse().opts<Options>();
}

function wholeNumber(text: string): number {
  if (!/^[1-9]\d{0,4}$/.test(text)) throw new InvalidArgumentError('expected a whole number from 1 to 99999');
  return Number(text);
}

async function main(options: Options): Promise<void> {
  const servers = await startServers({ rounds: options.rounds, only: [], self: false }, step);
  let text: string;
  try {
    text = await measure(options, servers);
  } finally {
    await step('remove the pods, look for what they left, stop the servers', () => servers.stop());
  }
  process.stdout.write(`${text}\n`);
  if (options.write !== undefined) await rewriteResults(options.write, text, 'make bench-scale');
}

async function measure(options: Options, servers: Servers): Promise<string> {
  const { sides, pids } = servers;
  const never = new AbortController().signal;
  const recorder = createRecorder({ sides, pids, signal: never });
  const requests = (server: string) =>
    createRequests({ image: servers.images.warm, logRoot: `${servers.folder}/${server}-logs`, server });
  const bench: Bench = {
    sides,
    recorder,
    rounds: options.rounds,
    images: servers.images,
    requests: { reference: requests('reference'), candidate: requests('candidate') },
  };
  const before = await environment(sides);
  await onBoth(sides, (side) => side.images.pullImage({ image: { image: servers.images.warm } }));
  await step(`${options.pods} pods, ${options.containers} containers on each side`, async () => {
    await onBoth(sides, (side) => fill(bench, side, options));
  });
  // What the plugin collects, it collects every ten seconds.
  await sleep(STATS_EVERY_MS);
  const { calls, alone } = await sorted({ ...LISTS, ...STATS, ...STREAMS }, sides.reference);
  await step(`${options.rounds} rounds of ${Object.keys(calls).join(', ')}`, async () => {
    for (let round = -WARM_UP_ROUNDS; round < options.rounds; round++) {
      for (const [name, call] of Object.entries(calls)) {
        await recorder.pair(name, call, { kept: round >= 0, settleMs: 0 });
      }
    }
  });
  const own = await step(`${options.rounds} rounds of what crid alone has: ${Object.keys(alone).join(', ')}`, () =>
    timesOf(alone, sides.candidate, options.rounds),
  );
  const idle = await step('idle', () => cpuOf(servers, options.seconds, () => Promise.resolve()));
  const rhythm = await onBoth(sides, (side) =>
    step(`${options.seconds} s at a kubelet's rhythm on ${side.name}`, () =>
      cpuOf(servers, options.seconds, (signal) => likeKubelet(side, calls, signal)),
    ),
  );
  const first =
    `${before.date}, Linux ${before.kernel}, ${before.cpus} CPUs, ${before.memoryGiB} GiB, load ${before.load.toFixed(1)} at the start, ` +
    `Node ${before.node}, containerd ${before.containerd}${before.commit && `, commit ${before.commit}`}. On each side ` +
    `${options.containers} containers in ${options.pods} pods: ${options.pods * options.running} run, ` +
    `${options.containers - options.pods * options.running} are records with a snapshot.`;
  return [
    first,
    table([
      ['operation', 'n', 'containerd p50 ms', 'p99', 'crid p50 ms', 'p99', 'ratio of p50'],
      ...Object.keys(calls).map((name) => {
        const { reference, candidate } = recorder.measured.get(name)!.samples;
        const ratio = (median(candidate) / median(reference)).toFixed(2);
        return [name, String(candidate.length), ...shown(reference), ...shown(candidate), ratio];
      }),
      ...Object.entries(own).map(([name, times]) => [name, String(times.length), '–', '–', ...shown(times), '–']),
    ]),
    table([
      ['CPU seconds in a minute', 'containerd', 'crid', 'together'],
      row('nobody asks', idle),
      row("a kubelet's rhythm, on containerd", rhythm.reference),
      row("a kubelet's rhythm, on crid", rhythm.candidate),
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

const shown = (times: readonly number[]): [string, string] => [
  milliseconds(median(times)),
  milliseconds(percentile(times, 0.99)),
];

type Calls = Readonly<Record<string, Call>>;

/** What both have, and what the other one answers UNIMPLEMENTED. */
async function sorted(all: Calls, reference: Side): Promise<{ calls: Calls; alone: Calls }> {
  const [calls, alone]: [Record<string, Call>, Record<string, Call>] = [{}, {}];
  for (const [name, call] of Object.entries(all)) {
    const isThere = await call(reference).then(
      () => true,
      (thrown: unknown) => {
        if (thrown instanceof ClientError && thrown.code === Status.UNIMPLEMENTED) return false;
        throw thrown;
      },
    );
    (isThere ? calls : alone)[name] = call;
  }
  return { calls, alone };
}

const row = (name: string, { containerdS, cridS }: PerMinute): string[] => [
  name,
  containerdS.toFixed(1),
  cridS.toFixed(1),
  (containerdS + cridS).toFixed(1),
];

/** Pods with a few running containers each; the rest of the containers are spread over them and never started. */
async function fill(bench: Bench, side: Side, { containers, pods, running }: Options): Promise<void> {
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

async function timesOf(calls: Readonly<Record<string, Call>>, side: Side, rounds: number) {
  const times: Record<string, number[]> = Object.fromEntries(Object.keys(calls).map((name) => [name, []]));
  for (let round = -WARM_UP_ROUNDS; round < rounds; round++) {
    for (const [name, call] of Object.entries(calls)) {
      const startedMs = performance.now();
      await call(side);
      if (round >= 0) times[name]!.push(performance.now() - startedMs);
    }
  }
  return times;
}

interface PerMinute {
  readonly containerdS: number;
  readonly cridS: number;
}

/** CPU seconds of both processes while `work` goes on, as if for a minute. */
async function cpuOf(
  { pids }: Servers,
  seconds: number,
  work: (signal: AbortSignal) => Promise<void>,
): Promise<PerMinute> {
  const cpu = (): Both<number> => ({ reference: cpuMs(pids.containerd), candidate: cpuMs(pids.crid!) });
  const [before, startedMs] = [cpu(), performance.now()];
  const ending = new AbortController();
  const working = work(ending.signal);
  await sleep(seconds * 1_000);
  const [after, minutes] = [cpu(), (performance.now() - startedMs) / 60_000];
  ending.abort();
  await working;
  const perMinute = (key: keyof Both<number>): number => (after[key] - before[key]) / 1_000 / minutes;
  return { containerdS: perMinute('reference'), cridS: perMinute('candidate') };
}

/** Only calls that both sides have. */
async function likeKubelet(side: Side, known: Calls, signal: AbortSignal): Promise<void> {
  const every = async (pauseMs: number, calls: Calls): Promise<void> => {
    const asked = Object.entries(calls).filter(([name]) => name in known);
    while (!signal.aborted) {
      await Promise.all(asked.map(([, call]) => call(side)));
      await sleep(pauseMs, undefined, { signal }).catch(() => undefined);
    }
  };
  await Promise.all([every(LIST_EVERY_MS, LISTS), every(STATS_EVERY_MS, STATS)]);
}
