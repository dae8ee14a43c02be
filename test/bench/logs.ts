import { rm, writeFile } from 'node:fs/promises';
import { setTimeout as sleep } from 'node:timers/promises';
import { Command } from 'commander';
import { disposeAll } from '../../tools/stack/disposers.js';
import { spokenSteps } from '../../tools/stack/steps.js';
import { until } from '../../tools/stack/wait.js';
import { createLines, type Lines, type Times } from '../harness/lines.js';
import { removePod } from './bench.js';
import { rewriteResults } from './document.js';
import { environment } from './environment.js';
import { cpuMs } from './processes.js';
import { BENCH_LABEL, createRequests } from './requests.js';
import { startServers, type Servers } from './servers.js';
import { median, percentile } from './statistics.js';
import { of, type Side } from './side.js';

/**
 * Measures containers that write their logs as fast as they can, on crid and on the CRI plugin of the same containerd.
 */

interface Load {
  readonly name: string;
  readonly containers: number;
  /** The number per container. */
  readonly lines: number;
  readonly linesPerWrite: number;
}

interface Sample {
  readonly megabytesPerSecond: number;
  readonly cpuSecondsPerGiB: number;
  readonly longestWriteMs: number;
  /** Milliseconds of ListContainers, before the writers begin and while they write. */
  readonly idleListMs: number;
  readonly busyListMs: number;
  readonly busyListP99Ms: number;
}

const LINE_BYTES = 100;
const MEGABYTE = 1e6;
const GIBIBYTE = 1024 ** 3;
const LIMIT_MS = 180_000;
/** When the writers end, the pipes still have data for the logs. */
const SETTLE_MS = 500;
const AT_ONCE = 8;
const IDLE_CALLS = 200;
const CALLS_EVERY_MS = 5;
const REMOVALS = 5;
const REMOVAL_PAUSE_MS = 2000;

const LOADS: readonly Load[] = [
  { name: '1 writer, 4,000 bytes a write', containers: 1, lines: 2_500_000, linesPerWrite: 40 },
  { name: '1 writer, a line a write', containers: 1, lines: 1_000_000, linesPerWrite: 1 },
  { name: '100 writers, a line a write', containers: 100, lines: 20_000, linesPerWrite: 1 },
];

const options = new Command('bench-logs')
  .description("Logs of crid beside those of the same containerd's own CRI plugin")
  .option('--rounds <n>', 'how often on each side', Number, 5)
  .option('--json <file>', 'write the samples there too')
  .option('--write <file>', 'rewrite the results in this document')
  .parse()
  .opts<{ rounds: number; json?: string; write?: string }>();

const step = spokenSteps((text) => void process.stderr.write(text));

async function main(): Promise<void> {
  const servers = await startServers({}, step);
  const { reference, candidate } = servers.sides;
  const { date, kernel, cpus, load, node, containerd, commit } = await environment(servers.sides);
  const samples = new Map(LOADS.map(({ name }) => [name, { reference: [] as Sample[], candidate: [] as Sample[] }]));
  for (const side of [reference, candidate]) await side.images.pullImage({ image: { image: servers.images.warm } });
  for (const one of LOADS) {
    await step(one.name, async () => {
      for (let round = 0; round < options.rounds; round += 1) {
        for (const side of round % 2 === 0 ? [reference, candidate] : [candidate, reference]) {
          of(samples.get(one.name)!, side).push(await measure(servers, side, one, round));
        }
      }
    });
  }
  const head = `${date}, Linux ${kernel}, ${cpus} CPUs, load ${load.toFixed(1)} at the start, Node ${node}, containerd ${containerd}, commit ${commit}; medians of ${options.rounds} rounds.`;
  const text = `${head}\n\n${table(samples)}`;
  process.stdout.write(`${text}\n`);
  if (options.json !== undefined)
    await writeFile(options.json, JSON.stringify(Object.fromEntries(samples), undefined, 2));
  if (options.write !== undefined) await rewriteResults(options.write, text);
  await servers.stop();
}

async function measure(servers: Servers, side: Side, load: Load, round: number): Promise<Sample> {
  const lines = await createLines(servers.folder);
  const logRoot = `${servers.folder}/${side.key}-logs`;
  const requests = createRequests({
    image: servers.images.warm,
    logRoot,
    server: `${side.key}-${load.containers}-${load.linesPerWrite}-${round}`,
  });
  const config = requests.pod();
  const { pod_sandbox_id: pod } = await side.runtime.runPodSandbox({ config: labelled(config, side.key) });
  const names = Array.from({ length: load.containers }, (_, index) => `writer-${index}`);
  const queue = [...names];
  const start = async (name: string): Promise<void> => {
    const { command, mounts, envs } = lines.container({
      bytesPerSecond: 0,
      count: load.lines,
      widthBytes: LINE_BYTES,
      linesPerWrite: load.linesPerWrite,
      name,
    });
    const container = { ...requests.container(name), command, mounts, envs };
    const { container_id } = await side.runtime.createContainer({
      pod_sandbox_id: pod,
      config: container,
      sandbox_config: config,
    });
    await side.runtime.startContainer({ container_id });
  };
  await Promise.all(
    Array.from({ length: AT_ONCE }, async () => {
      for (let name = queue.shift(); name !== undefined; name = queue.shift()) await start(name);
    }),
  );
  await sleep(SETTLE_MS);
  const idleMs = await listings(side, (calls) => calls === IDLE_CALLS);
  const before = cpuOf(servers);
  await lines.go();
  let ended = false;
  const [times, busyMs] = await Promise.all([
    timesOf(lines, names).finally(() => (ended = true)),
    listings(side, () => ended),
  ]);
  await sleep(SETTLE_MS);
  const cpuS = (cpuOf(servers) - before) / 1000;
  await removed(side, pod);
  await rm(logRoot, { recursive: true, force: true });
  const bytes = times.reduce((sum, one) => sum + one.bytes, 0);
  return {
    megabytesPerSecond: bytes / MEGABYTE / (Math.max(...times.map((one) => one.elapsedMs)) / 1000),
    cpuSecondsPerGiB: cpuS / (bytes / GIBIBYTE),
    longestWriteMs: Math.max(...times.map((one) => one.longestWriteMs)),
    idleListMs: median(idleMs),
    busyListMs: median(busyMs),
    busyListP99Ms: percentile(busyMs, 0.99),
  };
}

/** The clean-up at the end of the benchmark finds pods by this label. */
const labelled = (config: ReturnType<ReturnType<typeof createRequests>['pod']>, server: string): typeof config => ({
  ...config,
  labels: { ...config.labels, [BENCH_LABEL]: server },
});

/**
 * Retries, because on a busy machine containerd's plugin fails at the first attempt to stop a pod of a hundred
 * containers.
 */
async function removed(side: Side, pod: string): Promise<void> {
  for (let attempt = 1; ; attempt += 1) {
    try {
      return await removePod(side, pod);
    } catch (thrown) {
      if (attempt === REMOVALS) throw thrown;
      await sleep(REMOVAL_PAUSE_MS);
    }
  }
}

/** The durations of repeated ListContainers calls, one every few milliseconds. */
async function listings(side: Side, isEnough: (calls: number) => boolean): Promise<number[]> {
  const tookMs: number[] = [];
  while (!isEnough(tookMs.length)) {
    const startedMs = performance.now();
    await side.runtime.listContainers({});
    tookMs.push(performance.now() - startedMs);
    await sleep(CALLS_EVERY_MS);
  }
  return tookMs;
}

const timesOf = (lines: Lines, names: readonly string[]): Promise<Times[]> =>
  until('all writers end', LIMIT_MS, async () => {
    const times = await Promise.all(names.map((name) => lines.timesOf(name)));
    const ended = times.filter((one) => one !== undefined);
    return ended.length === names.length ? ended : undefined;
  });

/** The CPU time of both servers, because containerd also works for crid. */
const cpuOf = ({ containerdPid, sides: { candidate } }: Servers): number =>
  cpuMs(containerdPid) + cpuMs(candidate.pid!);

function table(samples: ReadonlyMap<string, { reference: Sample[]; candidate: Sample[] }>): string {
  const rows = [...samples].flatMap(([name, { reference, candidate }]) =>
    (
      [
        ['MB/s', 'megabytesPerSecond'],
        ['CPU s per GiB', 'cpuSecondsPerGiB'],
        ['longest write, ms', 'longestWriteMs'],
        ['ListContainers before, ms', 'idleListMs'],
        ['ListContainers meanwhile, ms', 'busyListMs'],
        ['its p99 meanwhile, ms', 'busyListP99Ms'],
      ] as const
    ).map(([what, key]) => {
      const [a, b] = [reference, candidate].map((side) => median(side.map((sample) => sample[key])));
      return [name, what, round(a), round(b), ((b ?? NaN) / (a ?? NaN)).toFixed(2)];
    }),
  );
  const lines = [['load', 'measured', 'containerd', 'crid', 'ratio'], ['---', '---', '--:', '--:', '--:'], ...rows];
  return lines.map((cells) => `| ${cells.join(' | ')} |`).join('\n');
}

const round = (value = NaN): string =>
  value < 10 ? value.toFixed(2) : value < 100 ? value.toFixed(1) : value.toFixed(0);

try {
  await main();
} finally {
  await disposeAll();
}
