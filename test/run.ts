import { disposeAll, onDispose } from '../tools/stack/disposers.js';
import { spokenSteps } from '../tools/stack/steps.js';
import { assertLeavesNothing, leaks, type Inventory } from './harness/leaks.js';
import { limitMs } from './harness/slowness.js';
import { startStack, type Stack } from './harness/test-stack.js';
import { keepLogs } from './runner/logs.js';
import { runFiles, type Outcome } from './runner/run-files.js';
import { testFiles } from './runner/test-files.js';

/**
 * `run.js [unit] [integration] [kubelet] [vm] [WORD …]`: runs the test files of these kinds whose paths contain one of
 * the words, and ends with the line `N passed, N failed`.
 */

const UNIT_LIMIT_MS = 180_000;
const INTEGRATION_LIMIT_MS = limitMs(900_000);
/** Those of `vm` run in the node that tools/vm starts; they are integration tests otherwise. */
const KINDS = ['unit', 'integration', 'kubelet', 'vm'] as const;
type Kind = (typeof KINDS)[number];

const args = process.argv.slice(2);
const words = args.filter((arg) => !KINDS.includes(arg as Kind));
/** `.ci/run` shows what follows this line once more. */
const FAILED = 'failed:';
const interrupted = new AbortController();
let running: Promise<unknown> = Promise.resolve();
onDispose('tests', async () => {
  interrupted.abort();
  await running.catch(() => undefined);
});

const total: Outcome = { passed: 0, failed: 0, skipped: 0, failures: [] };
try {
  for (const kind of KINDS.filter((each) => args.includes(each))) {
    await (kind === 'unit' ? unit(testFiles(kind, words)) : onStack(kind, testFiles(kind, words)));
  }
} catch (error) {
  fail(error instanceof Error ? (error.stack ?? error.message) : String(error));
}
await disposeAll();
if (total.passed + total.failed === 0) say('no test has run\n');
// At the end, where they are not to be looked for.
if (total.failures.length > 0) say(`\n${FAILED}\n\n${total.failures.join('\n\n')}\n`);
const skipped = total.skipped > 0 ? `, ${total.skipped} skipped` : '';
process.exitCode = total.failed > 0 || total.passed === 0 ? 1 : 0;
say(`\n${total.passed} passed, ${total.failed} failed${skipped}\n`);

async function unit(files: readonly string[]): Promise<void> {
  if (files.length === 0) return;
  say(`unit tests: ${files.length} files; on Node ${process.versions.node}, a few of them as root\n`);
  add(await run(files, 2, UNIT_LIMIT_MS));
}

/** One file after another, on one containerd; each must leave the stack as it found it. */
async function onStack(kind: Kind, files: readonly string[]): Promise<void> {
  if (files.length === 0) return;
  say(
    `\n${kind} tests: ${files.length} files; on Node ${process.versions.node}; as root on Debian, with the network of its packages once\n`,
  );
  let stack: Stack | undefined;
  for (const file of files) {
    stack ??= await newStack();
    say(`\n${shortName(file)}\n`);
    const before = await leaks(stack);
    const counts = await run([file], 1, INTEGRATION_LIMIT_MS);
    add(counts);
    const isClean = await leavesNothing(stack, before, shortName(file));
    if (counts.failed === 0 && isClean) continue;
    say(`  logs: ${await keepLogs(stack, file)}\n`);
    if (isClean) continue;
    // What one file leaves behind is no concern of the next.
    await stack.dispose();
    stack = undefined;
  }
}

async function newStack(): Promise<Stack> {
  const stack = await startStack({ step: spokenSteps(say) });
  exportStack(stack);
  return stack;
}

async function leavesNothing(stack: Stack, before: Inventory, file: string): Promise<boolean> {
  try {
    await assertLeavesNothing(stack, before);
    return true;
  } catch (error) {
    fail(`✖ after ${file}: ${(error as Error).message}`);
    return false;
  }
}

async function run(files: readonly string[], concurrency: number, timeoutMs: number): Promise<Outcome> {
  interrupted.signal.throwIfAborted();
  const work = runFiles({ files, concurrency, timeoutMs, signal: interrupted.signal });
  running = work;
  return work;
}

function add({ passed, failed, skipped, failures }: Outcome): void {
  total.passed += passed;
  total.failed += failed;
  total.skipped += skipped;
  total.failures.push(...failures);
}

function fail(why: string): void {
  say(`${why}\n`);
  total.failed++;
  total.failures.push(why);
}

function shortName(file: string): string {
  return file.replace(/^.*\/test\//, 'test/');
}

/** What the test files read: see docs/testing.md. */
function exportStack(stack: Stack): void {
  Object.assign(process.env, {
    CRID_TEST_CONTAINERD: stack.containerd.socket,
    CRID_TEST_CONTAINERD_CONFIG: stack.containerd.config,
    CRID_TEST_CONTAINERD_BINARY: `${stack.layout.bin}/containerd`,
    CRID_TEST_CNI_BIN: stack.cniBinDir,
    CRID_TEST_REGISTRY: stack.registry.host,
    CRID_TEST_STACK: JSON.stringify(stack),
  });
}

function say(text: string): void {
  process.stdout.write(text);
}
