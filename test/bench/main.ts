import { writeFile } from 'node:fs/promises';
import type { Bench, Part } from './bench.js';
import { rewriteResults } from './document.js';
import { environment } from './environment.js';
import { lifecycle, podStart } from './lifecycle.js';
import { parseOptions, type Options } from './options.js';
import { cpuMs, memory } from './processes.js';
import { pulls } from './pulls.js';
import { lists, reads } from './reads.js';
import { createRecorder } from './recorder.js';
import { report } from './report.js';
import { createRequests } from './requests.js';
import { cpuInCalls, operationResults, type Results } from './results.js';
import { spokenSteps } from '../../tools/stack/steps.js';
import { startServers, type Servers } from './servers.js';
import { together } from './together.js';

const PARTS: readonly Part[] = [reads, lifecycle, podStart, together, pulls, lists];

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
      PARTS.map(({ name }) => name),
    ),
  );
} catch (thrown) {
  const { message, cause } = thrown as Error;
  const why = cause instanceof Error && !message.includes(cause.message) ? `: ${cause.message}` : '';
  process.stderr.write(`bench: ${message}${why}\n`);
  process.exitCode = 1;
}

async function main(options: Options): Promise<void> {
  const operations = chosen(options.only);
  const servers = await startServers(options, step);
  let results: Results;
  try {
    interrupted.signal.throwIfAborted();
    results = await measure(options, servers, operations);
  } finally {
    // After a signal, the disposers do this in their own order.
    if (!interrupted.signal.aborted) {
      await step('remove the pods, look for what they left, stop the servers', () => servers.stop());
    }
  }
  const text = report(results);
  process.stdout.write(`${text}\n`);
  if (options.json !== undefined) await writeFile(options.json, `${JSON.stringify(results, undefined, 2)}\n`);
  if (options.write !== undefined) await rewriteResults(options.write, text);
}

/**
 * Returns the operations to run. They are chosen by name, by name without the part in brackets, or by the part's name.
 */
function chosen(only: readonly string[]): ReadonlySet<string> {
  const wanted = new Set(only.map((name) => name.toLowerCase()));
  const all = PARTS.flatMap(({ name, operations }) => operations.map((operation) => ({ name, operation })));
  const names = ({ name, operation }: { name: string; operation: string }): string[] =>
    [name, operation, operation.replace(/ \(.*/, '')].map((one) => one.toLowerCase());
  for (const one of wanted) {
    if (!all.some((entry) => names(entry).includes(one))) throw new Error(`--only: there is no "${one}"`);
  }
  const fitting = all.filter((entry) => wanted.size === 0 || names(entry).some((one) => wanted.has(one)));
  return new Set(fitting.map(({ operation }) => operation));
}

async function measure(options: Options, servers: Servers, operations: ReadonlySet<string>): Promise<Results> {
  const { sides, pids } = servers;
  const recorder = createRecorder({ sides, pids, signal: interrupted.signal });
  const requests = (server: string) =>
    createRequests({ image: servers.images.warm, logRoot: `${servers.folder}/${server}-logs`, server });
  const bench: Bench = {
    sides,
    recorder,
    rounds: options.rounds,
    images: servers.images,
    requests: { reference: requests('reference'), candidate: requests('candidate') },
  };
  for (const side of [sides.reference, sides.candidate]) {
    await side.images.pullImage({ image: { image: servers.images.warm } });
  }
  const before = await environment(sides);
  const startedMs = performance.now();
  for (const part of PARTS) {
    if (!part.operations.some((operation) => operations.has(operation))) continue;
    await step(`${part.name}: ${part.operations.join(', ')}`, () => part.run(bench));
  }
  return {
    environment: before,
    names: { reference: sides.reference.name, candidate: sides.candidate.name },
    rounds: options.rounds,
    durationS: Math.round((performance.now() - startedMs) / 1000),
    operations: operationResults(recorder, [...operations]),
    processes: Object.entries(pids).flatMap(([name, pid]) =>
      pid === undefined ? [] : [{ name, ...memory(pid), cpuS: cpuMs(pid) / 1000 }],
    ),
    cpuInCalls: cpuInCalls(recorder),
  };
}
