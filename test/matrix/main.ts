import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { appendFile, mkdir, open, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { disposeAll, onDispose } from '../../tools/stack/disposers.js';
import { run } from '../../tools/stack/exec.js';
import { buildRoot, projectRoot } from '../../tools/stack/project.js';
import { allCells, alphaGates, selectCells, type Cell } from './cells.js';
import { countsOf, markdown, newest, type Result } from './table.js';

/**
 * `main.js [--list] [--table] [WORD …]`: runs suites on versions of containerd and of the kubelet, and prints the last
 * result of each as a table. It takes hours, so results are kept, and a later run may go on with other words.
 */

const FOLDER = join(projectRoot, '.work', 'matrix');
const RESULTS = join(FOLDER, 'results.jsonl');
const CELL_LIMIT_MS = 3 * 3_600_000;
const BUILD_LIMIT_MS = 3_600_000;

const say = (text: string): void => void process.stdout.write(text);

try {
  process.exitCode = (await main(process.argv.slice(2))) ? 0 : 1;
} catch (thrown) {
  say(`matrix: ${thrown instanceof Error ? thrown.message : String(thrown)}\n`);
  process.exitCode = 1;
}
await disposeAll();

async function main(args: readonly string[]): Promise<boolean> {
  const { values, positionals } = parseArgs({
    args: [...args],
    allowPositionals: true,
    options: { list: { type: 'boolean', default: false }, table: { type: 'boolean', default: false } },
  });
  const cells = selectCells(allCells(), positionals);
  const names = cells.map(({ name }) => name);
  if (values.list) {
    say(`${names.join('\n')}\n`);
    return true;
  }
  await mkdir(FOLDER, { recursive: true });
  if (!values.table) for (const cell of cells) await runCell(cell);
  const results = newest(await readResults(), names);
  say(`\n${markdown(results)}\n`);
  return results.length === cells.length && results.every(({ failed }) => failed === 0);
}

async function runCell(cell: Cell): Promise<void> {
  const { containerd = '', kubelet = '' } = cell.versions;
  const env = { ...process.env, CRID_CONTAINERD: containerd, CRID_KUBELET: kubelet };
  const log = join(FOLDER, `${cell.name.replaceAll(' ', '-')}.log`);
  const startedMs = Date.now();
  say(`${cell.name} … ${log}\n`);
  // The build can take longer than the suite's own time limit.
  const help = cell.command.includes('kubelet') ? await kubeletHelp(env) : '';
  const gates = alphaGates(help, cell.gates);
  const given = { ...env, CRID_KUBELET_GATES: gates.map((gate) => `${gate}=true`).join(',') };
  const succeeded = await runLogged(cell.command, given, log);
  const counts = countsOf(await readFile(log, 'utf8'), succeeded);
  const result: Result = {
    name: cell.name,
    date: new Date(startedMs).toISOString().slice(0, 10),
    seconds: Math.round((Date.now() - startedMs) / 1000),
    commit: (await run('git', ['-C', projectRoot, 'rev-parse', '--short', 'HEAD'])).trim(),
    gates,
    ...counts,
  };
  await appendFile(RESULTS, `${JSON.stringify(result)}\n`);
  say(`  ${counts.passed} passed, ${counts.failed} failed, ${counts.skipped} skipped in ${result.seconds} s\n`);
}

/** Builds the kubelet if needed, and returns what it says of its flags. */
async function kubeletHelp(env: NodeJS.ProcessEnv): Promise<string> {
  const tool = join(buildRoot, 'tools', 'go-tool.js');
  const program = await run(process.execPath, [tool, 'kubelet'], { env, timeoutMs: BUILD_LIMIT_MS });
  return run(program.trim(), ['--help']);
}

/** Runs a program of `build/` with its output in a file. Returns whether it succeeded. */
async function runLogged(command: readonly string[], env: NodeJS.ProcessEnv, log: string): Promise<boolean> {
  const [file = '', ...args] = command;
  const output = await open(log, 'w');
  const child = spawn(process.execPath, ['--enable-source-maps', join(buildRoot, file), ...args], {
    env,
    stdio: ['ignore', output.fd, output.fd],
    timeout: CELL_LIMIT_MS,
  });
  const ended = once(child, 'exit') as Promise<[number | null]>;
  // The suite stops what it has started.
  const dispose = onDispose(`suite ${command.join(' ')}`, async () => {
    if (child.exitCode === null) child.kill('SIGTERM');
    await ended;
  });
  const [code] = await ended;
  await output.close();
  await dispose();
  return code === 0;
}

async function readResults(): Promise<Result[]> {
  const text = await readFile(RESULTS, 'utf8').catch(() => '');
  return text
    .split('\n')
    .filter(Boolean)
    .map((line) => JSON.parse(line) as Result);
}
