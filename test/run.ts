import { availableParallelism } from 'node:os';
import { disposeAll, onDispose } from '../tools/stack/disposers.js';
import { limitMs } from './harness/slowness.js';
import { runInLanes } from './runner/lanes.js';
import { createOnStack, shortName } from './runner/on-stack.js';
import { failure, noTests, runFiles, type Outcome } from './runner/run-files.js';
import { testFiles } from './runner/test-files.js';

/**
 * `run.js [unit] [integration] [kubelet] [vm] [--lanes N] [WORD …]`: runs the test files of these kinds whose paths
 * contain one of the words. Its last line is `N passed, N failed`.
 */

const UNIT_LIMIT_MS = limitMs(180_000);
/** The files of `vm` run in the node that tools/vm starts. Otherwise they are integration tests. */
const KINDS = ['unit', 'integration', 'kubelet', 'vm'] as const;
type Kind = (typeof KINDS)[number];

const { lanes, args } = laneOption(process.argv.slice(2));
const words = args.filter((arg) => !KINDS.includes(arg as Kind));
/** `.ci/run` repeats the output after this line. */
const FAILED = 'failed:';
const interrupted = new AbortController();
let running: Promise<unknown> = Promise.resolve();
onDispose('tests', async () => {
  interrupted.abort();
  await running.catch(() => undefined);
});

const total = noTests();
try {
  for (const kind of KINDS.filter((each) => args.includes(each))) {
    running = kind === 'unit' ? unit(testFiles(kind, words)) : onStacks(kind, testFiles(kind, words));
    await running;
  }
} catch (error) {
  add(failure(error));
}
await disposeAll();
if (total.passed + total.failed === 0) say('no test has run\n');
// Failures are repeated at the end, so that they are easy to find.
if (total.failures.length > 0) say(`\n${FAILED}\n\n${total.failures.join('\n\n')}\n`);
const skipped = total.skipped > 0 ? `, ${total.skipped} skipped` : '';
process.exitCode = total.failed > 0 || total.passed === 0 ? 1 : 0;
say(`\n${total.passed} passed, ${total.failed} failed${skipped}\n`);

async function unit(files: readonly string[]): Promise<void> {
  if (files.length === 0) return;
  say(`unit tests: ${files.length} files; on Node ${process.versions.node}, a few of them as root\n`);
  const outcome = noTests();
  const { signal } = interrupted;
  await runFiles({ files, concurrency: 2, timeoutMs: UNIT_LIMIT_MS, signal, write: say, outcome });
  add(outcome);
}

/** Runs the files of `kubelet` and `vm` one after another: a kubelet's probes have time limits, and a VM is slow. */
async function onStacks(kind: Kind, files: readonly string[]): Promise<void> {
  if (files.length === 0) return;
  const count = kind === 'integration' ? lanes : 1;
  say(
    `\n${kind} tests: ${files.length} files, ${count} at a time; on Node ${process.versions.node}; as root on Debian, with ` +
      'the network of its packages once\n',
  );
  let done = 0;
  const progress = (file: string, outcome: Outcome): void => {
    add(outcome);
    done++;
    say(`-- ${done} of ${files.length} files done, ${total.failed} tests failed: ${shortName(file)}\n`);
  };
  const { signal } = interrupted;
  if (count > 1 && files.length > 1) {
    const onReport = ({ file, outcome, output }: { file: string; outcome: Outcome; output: string }): void => {
      say(output);
      progress(file, outcome);
    };
    return runInLanes({ files, count, signal, onReport });
  }
  const stack = createOnStack(say, signal);
  for (const file of files) progress(file, await stack.run(file));
}

/** Parses `--lanes N`. The default is two on a machine with at least two CPUs. */
function laneOption(given: readonly string[]): { lanes: number; args: string[] } {
  const at = given.indexOf('--lanes');
  if (at < 0) return { lanes: Math.min(2, availableParallelism()), args: [...given] };
  return {
    lanes: Math.max(1, Number(given[at + 1])),
    args: given.filter((_, index) => index !== at && index !== at + 1),
  };
}

function add({ passed, failed, skipped, failures }: Outcome): void {
  total.passed += passed;
  total.failed += failed;
  total.skipped += skipped;
  total.failures.push(...failures);
}

function say(text: string): void {
  process.stdout.write(text);
}
