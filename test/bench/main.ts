import { writeFile } from 'node:fs/promises';
import { createBench, type Part } from './bench.js';
import { rewriteResults } from './document.js';
import { environment } from './environment.js';
import { lifecycle, podStart } from './lifecycle.js';
import { floor } from './floor/floor.js';
import { growth } from './growth/growth.js';
import { growthReport } from './growth/report.js';
import { baselineCpus } from './machine.js';
import { nri } from './nri.js';
import { parseOptions, type Options } from './options.js';
import { processesOf } from './processes.js';
import { pulls } from './pulls.js';
import { reads } from './reads.js';
import { report } from './report.js';
import { operationResults, type Results } from './results.js';
import { disposeAll } from '../../tools/stack/disposers.js';
import { spokenSteps } from '../../tools/stack/steps.js';
import { startServers, type Servers } from './servers.js';
import { mapEach, onEach } from './side.js';
import { together } from './together.js';
import { traced } from './traced.js';

const QUICK: readonly Part[] = [
  reads,
  lifecycle,
  podStart,
  together(10, 5),
  together(50, 8),
  pulls,
  floor,
  traced,
  nri,
];
/** Long enough for a mean of the timers that run on an idle machine. */
const BASELINE_MS = 5_000;

const step = spokenSteps((text) => void process.stderr.write(text));

// tools/stack/disposers.ts stops everything that was started. These handlers only prevent further starts.
const interrupted = new AbortController();
for (const name of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) {
  process.once(name, () => {
    process.stderr.write(`  ${name}: cleaning up\n`);
    interrupted.abort(new Error(`interrupted by ${name}`));
  });
}

try {
  await main(
    parseOptions(
      process.argv.slice(2),
      [...QUICK, growth([])].map(({ name }) => name),
    ),
  );
} catch (thrown) {
  tell(thrown);
  process.exitCode = 1;
}

function tell(thrown: unknown): void {
  const { message, cause } = thrown as Error;
  const why = cause instanceof Error && !message.includes(cause.message) ? `: ${cause.message}` : '';
  process.stderr.write(`bench: ${message}${why}\n`);
}

async function main(options: Options): Promise<void> {
  const parts = [...QUICK, growth(options.sizes)];
  const operations = chosen(parts, options);
  const { signal } = interrupted;
  const servers = await startServers({ ...options, signal }, step);
  let results: Results;
  try {
    signal.throwIfAborted();
    results = await measure(options, servers, parts, operations);
  } catch (thrown) {
    // The disposers remove the rest at the end of the process; after a signal they have begun already.
    if (signal.aborted) throw thrown;
    tell(thrown);
    process.exitCode = 1;
    return disposeAll();
  }
  await step('remove the pods, look for what they left, stop the servers', () => servers.stop());
  const grown = growthReport(results);
  const quick = QUICK.some((part) => part.operations.some((operation) => operations.has(operation)));
  const texts = { 'make bench': quick ? report(results) : undefined, 'make bench-scale': grown };
  for (const [command, text] of Object.entries(texts)) {
    if (text === undefined) continue;
    process.stdout.write(`${text}\n\n`);
    if (options.write !== undefined) await rewriteResults(options.write, text, command);
  }
  if (options.json !== undefined) await writeFile(options.json, `${JSON.stringify(results, undefined, 2)}\n`);
}

/**
 * Returns the operations to run. They are chosen by name, by name without the part in brackets, or by the part's name.
 */
function chosen(parts: readonly Part[], { only, all: withSlow }: Options): ReadonlySet<string> {
  const wanted = new Set(only.map((name) => name.toLowerCase()));
  const every = parts.flatMap((part) => part.operations.map((operation) => ({ part, operation })));
  const names = ({ part, operation }: { part: Part; operation: string }): string[] =>
    [part.name, ...(part.isSlow ? [] : [operation, operation.replace(/ \(.*/, '')])].map((one) => one.toLowerCase());
  for (const one of wanted) {
    if (!every.some((entry) => names(entry).includes(one))) throw new Error(`--only: there is no "${one}"`);
  }
  const isWanted = (entry: { part: Part; operation: string }): boolean =>
    wanted.size === 0 ? withSlow || !entry.part.isSlow : names(entry).some((one) => wanted.has(one));
  return new Set(every.filter(isWanted).map(({ operation }) => operation));
}

async function measure(
  options: Options,
  servers: Servers,
  parts: readonly Part[],
  operations: ReadonlySet<string>,
): Promise<Results> {
  const { sides } = servers;
  const { signal } = interrupted;
  await onEach(sides, (side) => side.images.pullImage({ image: { image: servers.images.warm } }));
  const before = await environment(sides);
  const baseline = await step('look how busy the machine is', () => baselineCpus(BASELINE_MS));
  const bench = createBench(servers, { rounds: options.rounds, signal, step, baseline });
  const startedMs = performance.now();
  const run = async (isSlow: boolean): Promise<void> => {
    for (const part of parts.filter((one) => (one.isSlow ?? false) === isSlow)) {
      if (!part.operations.some((operation) => operations.has(operation))) continue;
      await step(`part ${part.name}`, () => part.run(bench));
    }
  };
  await run(false);
  // A full node has more to remember, so the memory is read before.
  const processes = processesOf(servers);
  await run(true);
  return {
    environment: before,
    names: mapEach(sides, ({ name }) => name),
    rounds: options.rounds,
    sizes: options.sizes,
    durationS: Math.round((performance.now() - startedMs) / 1000),
    baseline,
    operations: operationResults(bench.recorder.measured, operations),
    processes,
    cpuInCalls: bench.recorder.cpu(),
    findings: bench.findings,
  };
}
