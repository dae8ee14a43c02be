import { mkdir, mkdtemp, readdir, readlink, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Command, InvalidArgumentError } from 'commander';
import { disposeAll, onDispose } from '../../../tools/stack/disposers.js';
import { run } from '../../../tools/stack/exec.js';
import { projectRoot } from '../../../tools/stack/project.js';
import { spokenSteps } from '../../../tools/stack/steps.js';
import { startCrid } from '../../harness/crid.js';
import { pullImage, runPod } from '../../harness/pod.js';
import { startStack, type Stack } from '../../harness/test-stack.js';
import { rewriteResults } from '../document.js';
import { environment } from '../environment.js';
import { cpuMs, memory } from '../processes.js';
import { median } from '../statistics.js';
import { table } from '../table.js';
import { firstAnswers } from './answers.js';

/** Measures starts and memory of the crid of `make dist`, with its own Node.js, beside the checkout's. */

interface Start {
  /** How long `crid version` takes. */
  readonly commandMs: number;
  /** From the start of the process to the first answered ListContainers. */
  readonly answerMs: number;
  /** The CPU time used when all work of the start has ended. */
  readonly usedMs: number;
  readonly rssMiB: number;
}

interface Measured {
  readonly name: string;
  readonly program: string;
  node: string;
  readonly starts: Start[];
}

const RUNNING_PODS = 5;
const TURNS = 2;
const BUILD_LIMIT_MS = 600_000;
const ARCHITECTURE = process.arch === 'arm64' ? 'arm64' : 'amd64';

const options = new Command('bench-package')
  .description("Compares starts and memory of the packaged crid with the checkout's")
  .option('--rounds <n>', `starts of each in each of ${TURNS} turns`, wholeNumber, 5)
  .option('--write <file>', 'rewrite the results in this document')
  .parse()
  .opts<{ readonly rounds: number; readonly write?: string }>();

function wholeNumber(text: string): number {
  if (!/^[1-9]\d{0,4}$/.test(text)) throw new InvalidArgumentError('expected a whole number from 1 to 99999');
  return Number(text);
}

const step = spokenSteps((text) => void process.stderr.write(text));

async function main(): Promise<void> {
  const folder = await mkdtemp(join(tmpdir(), 'crid-bench-package-'));
  onDispose('the unpacked package', () => rm(folder, { recursive: true }));
  const packaged = await step('build and unpack the archive', () => unpackArchive(folder));
  const all: Measured[] = [
    { name: 'checkout', program: join(projectRoot, 'bin', 'crid'), node: '', starts: [] },
    { name: 'package', program: packaged, node: '', starts: [] },
  ];
  const stack = await startStack({ runtime: { netns_mounts_under_state_dir: true }, step });
  const first = await startCrid(stack);
  await pullImage(first);
  for (let pod = 0; pod < RUNNING_PODS; pod += 1) await (await runPod(first, stack)).run();
  const { date, kernel, cpus, load, commit } = await environment({ reference: first });
  await first.stop();
  for (let turn = 0; turn < TURNS; turn += 1) {
    for (const each of all) await step(`starts of the ${each.name}'s crid`, () => measure(stack, folder, each));
  }
  const text = [
    `${date}, Linux ${kernel}, ${cpus} CPUs, load ${load.toFixed(1)} at the start, commit ${commit}.`,
    table([
      ['crid of the', 'Node.js', 'n', 'crid version s', 'first answer s', 'CPU s, all done', 'RSS MiB, all done'],
      ...all.map(row),
    ]),
  ].join('\n\n');
  process.stdout.write(`${text}\n`);
  if (options.write !== undefined) await rewriteResults(options.write, text, 'make bench-package');
  await step('stop all', disposeAll);
}

/** Returns the path of the program in the archive of this checkout. */
async function unpackArchive(folder: string): Promise<string> {
  const [dist, unpacked] = [join(folder, 'dist'), join(folder, 'unpacked')];
  const flags = ['--arch', ARCHITECTURE, '--format', 'tar.gz', '--level', '1', '--out', dist];
  await run(process.execPath, [join(projectRoot, 'build/tools/dist.js'), ...flags], { timeoutMs: BUILD_LIMIT_MS });
  const archive = (await readdir(dist)).find((name) => name.endsWith('.tar.gz')) ?? '';
  await mkdir(unpacked);
  await run('tar', ['-C', unpacked, '-xzf', join(dist, archive)], { timeoutMs: BUILD_LIMIT_MS });
  return join(unpacked, 'bin', 'crid');
}

/** The first start of each turn is not counted: it writes the cache of compiled code, which a node has. */
async function measure(stack: Stack, folder: string, measured: Measured): Promise<void> {
  const cache = join(folder, `cache-${measured.name}`);
  await mkdir(cache, { recursive: true });
  const { program } = measured;
  const config = { crid: { log_level: 'info' } };
  const crid = await startCrid(stack, { program, config, env: { CACHE_DIRECTORY: cache } });
  measured.node = (await run(await readlink(`/proc/${crid.pid()}/exe`), ['--version'])).trim().slice(1);
  for (let round = 0; round < options.rounds; round += 1) {
    await crid.settled();
    await crid.stop();
    const startedMs = performance.now();
    await run(program, ['version']);
    const commandMs = performance.now() - startedMs;
    const { listContainersMs: answerMs } = await firstAnswers(crid);
    await crid.settled();
    const pid = crid.pid();
    measured.starts.push({ commandMs, answerMs, usedMs: cpuMs(pid), rssMiB: memory(pid).rssMiB });
  }
  await crid.stop();
}

function row({ name, node, starts }: Measured): string[] {
  const middle = (value: (each: Start) => number): number => median(starts.map(value));
  const seconds = (ms: number): string => (ms / 1_000).toFixed(2);
  return [
    name,
    node,
    String(starts.length),
    seconds(middle(({ commandMs }) => commandMs)),
    seconds(middle(({ answerMs }) => answerMs)),
    seconds(middle(({ usedMs }) => usedMs)),
    middle(({ rssMiB }) => rssMiB).toFixed(0),
  ];
}

try {
  await main();
} catch (thrown) {
  process.stderr.write(`bench-package: ${(thrown as Error).stack ?? String(thrown)}\n`);
  process.exitCode = 1;
} finally {
  await disposeAll();
}
