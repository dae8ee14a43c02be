import { Command, InvalidArgumentError } from 'commander';
import { spokenSteps } from '../../../tools/stack/steps.js';
import { crictl } from '../../harness/crictl.js';
import { createBench, createContainer, runPod } from '../bench.js';
import { environment } from '../environment.js';
import { startServers, type Servers } from '../servers.js';
import { of, onEach } from '../side.js';
import { interference } from './interference.js';
import { latency } from './latency.js';
import { streamingReport, type StreamingResults } from './report.js';
import type { StreamingBench } from './streaming-bench.js';
import { throughput } from './throughput.js';

/** Compares exec and port-forward of crid and of the same containerd's own CRI. */

interface Options {
  readonly rounds: number;
  readonly sizeMib: number;
  readonly only: readonly string[];
}

const PARTS = ['latency', 'throughput', 'interference'];
const options = new Command('bench-streaming')
  .description("Measures exec and port-forward of crid and of the same containerd's own CRI plugin, side by side")
  .option('--rounds <n>', 'how often; each part takes a multiple or a share of it', wholeNumber, 25)
  .option('--size-mib <n>', 'what goes through a stream each time', wholeNumber, 256)
  .option('--only <names>', `parts, with commas: ${PARTS.join(', ')}`, (text) => text.split(','), PARTS)
  .parse()
  .opts<Options>();

const step = spokenSteps((text) => void process.stderr.write(text));
const servers = await startServers({}, step);
try {
  process.stdout.write(`${streamingReport(await measure(servers))}\n`);
} finally {
  await servers.stop();
}

async function measure(started: Servers): Promise<StreamingResults> {
  const { sides, images, folder, stack } = started;
  const bench = createBench(started, { rounds: options.rounds });
  await onEach(sides, (side) => side.images.pullImage({ image: { image: images.warm } }));
  const pods = await onEach(sides, (side) => runPod(bench, side));
  const containers = await onEach(sides, async (side) => {
    const container_id = await createContainer(bench, side, of(pods, side), 'idle');
    await side.runtime.startContainer({ container_id });
    return container_id;
  });
  const all: StreamingBench = {
    ...{ bench, pods, containers, folder, sizeMiB: options.sizeMib },
    crictl: await onEach(sides, (side) => crictl(stack, side.socket)),
  };
  const before = await environment(sides);
  const wanted = <T>(name: string, work: () => Promise<T>): Promise<T | undefined> =>
    options.only.includes(name) ? step(name, work) : Promise.resolve(undefined);
  return {
    ...{ environment: before, recorder: bench.recorder, sizeMiB: options.sizeMib },
    latencyOverWebSocket: (await wanted('latency', () => latency(all))) ?? [],
    overWebSocket: await wanted('throughput', () => throughput(all, sides.candidate.pid)),
    interference: (await wanted('interference', () => interference(all))) ?? [],
  };
}

function wholeNumber(text: string): number {
  if (!/^[1-9]\d{0,4}$/.test(text)) throw new InvalidArgumentError('expected a whole number from 1 to 99999');
  return Number(text);
}
