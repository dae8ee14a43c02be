import { ownArchitecture, type Architecture } from '../../tools/stack/architectures.js';
import { disposeAll } from '../../tools/stack/disposers.js';
import { ensureGoTool } from '../../tools/stack/gotools.js';
import { stackLayout } from '../../tools/stack/layout.js';
import { ensureProgram } from '../../tools/stack/programs.js';
import { projectRoot } from '../../tools/stack/project.js';
import { spokenSteps } from '../../tools/stack/steps.js';
import { copyCheckout } from '../../tools/vm/checkout.js';
import { GuestPanicError, type Machine } from '../../tools/vm/machine.js';
import { guestEnvironment, useNode } from '../../tools/vm/node.js';
import { quote } from '../../tools/vm/ssh.js';
import { SANDBOXER } from '../harness/sandboxer.js';
import type { Counts } from '../runner/run-files.js';
import { conformance } from './conformance.js';
import { buildPackages, PACKAGE_VERSIONS } from './debian.js';
import { installCrid, installPackage, PACKAGED_CRID, PACKAGED_NODE } from './installed.js';
import { parseOptions, type Options, type TestOptions } from './options.js';

/**
 * Runs test files and critest in a VM: Debian with systemd, cgroup v2 and AppArmor. The last line of its output is `N
 * passed, N failed`.
 */

const TESTS_LIMIT_MS = 5_400_000;
/** How many times slower than its host the guest may be. */
const SLOWNESS = 10;
/** The files of test/vm/ that install crid's Debian packages, and those that run a kubelet. */
const PACKAGE_TESTS = ['test/vm/package.test.js', 'test/vm/node-move.test.js'];
const KUBELET_TESTS = ['test/vm/packaged.test.js', 'test/vm/node-move.test.js'];
const NO_COUNTS: Counts = { passed: 0, failed: 0, skipped: 0 };

const say = (text: string): void => void process.stdout.write(text);
const step = spokenSteps(say);
let total: Counts = NO_COUNTS;

try {
  const options = parseOptions(process.argv.slice(2));
  total = await runAll(options).catch((error: unknown) => {
    // QEMU's emulation can be at fault, as the report of a panic in the kernel's own code shows.
    if (!(error instanceof GuestPanicError) || process.env['CRID_VM']) throw error;
    say(`${error.message}\nEverything runs once more, on a new node.\n`);
    return disposeAll().then(() => runAll(options));
  });
} catch (thrown) {
  say(`${thrown instanceof Error ? (thrown.stack ?? thrown.message) : String(thrown)}\n`);
  total = { passed: 0, failed: 1, skipped: 0 };
}
await disposeAll();
const skipped = total.skipped > 0 ? `, ${total.skipped} skipped` : '';
process.exitCode = total.failed > 0 || total.passed === 0 ? 1 : 0;
say(`\n${total.passed} passed, ${total.failed} failed${skipped}\n`);

/** Runs the selected tests and suites on a node of their own. */
async function runAll(options: Options): Promise<Counts> {
  const { architecture } = options;
  if (options.tests && needsKubelet(options.tests)) await step('build the kubelet', () => buildKubelet(architecture));
  if (options.tests && selects(options.tests, PACKAGE_TESTS)) {
    const versions = Object.values(PACKAGE_VERSIONS);
    await step('build two versions of the Debian package', () => buildPackages(architecture, versions));
  }
  const machine = await useNode(architecture, step);
  if (options.packaged) await step('install crid from its Debian package', () => installPackage(machine));
  else await step('install crid from its npm package', () => installCrid(machine));
  say(`${await describe(machine)}\n`);
  const tests = options.tests ? await runTests(machine, options.tests, options.packaged) : NO_COUNTS;
  const suite = options.conformance ? await conformance(machine, options.conformance, { step, say }) : NO_COUNTS;
  return {
    passed: tests.passed + suite.passed,
    failed: tests.failed + suite.failed,
    skipped: tests.skipped + suite.skipped,
  };
}

/** Runs the test runner in the guest. */
async function runTests(machine: Machine, { kinds, words, runtime }: TestOptions, packaged: boolean): Promise<Counts> {
  await step('copy this checkout to the node', () => copyCheckout(machine));
  // The cadvisor of the tests' kubelet finds the containerd of the stack at the default socket.
  if (kinds.includes('kubelet'))
    await machine.run('systemctl stop crid containerd; rm -f /run/containerd/containerd.sock');
  const program = packaged ? ` CRID_TEST_PROGRAM=${PACKAGED_CRID}` : '';
  const node = packaged ? PACKAGED_NODE : 'node';
  const script = `cd ${quote(projectRoot)} && exec env ${guestEnvironment()} CRID_STACK_RUNTIME=${quote(runtime)} CRID_SANDBOXER=${quote(SANDBOXER)} CRID_TEST_SLOWNESS=${SLOWNESS}${program} ${node} --enable-source-maps build/test/run.js --lanes 1 ${[...kinds, ...words].map(quote).join(' ')}`;
  const { code, stdout } = await machine.answer(script, { timeoutMs: TESTS_LIMIT_MS, write: say });
  const counts = /(\d+) passed, (\d+) failed(?:, (\d+) skipped)?\s*$/.exec(stdout);
  if (!counts) throw new Error(`the tests in the guest have ended with ${code} and no count`);
  const [passed = 0, failed = 0, skippedThere = 0] = counts.slice(1).map((count) => Number(count ?? 0));
  return { passed, failed, skipped: skippedThere };
}

/** Whether a selected test runs a kubelet. */
function needsKubelet(tests: TestOptions): boolean {
  return tests.kinds.includes('kubelet') || selects(tests, KUBELET_TESTS);
}

/** Whether one of the files is selected. */
function selects({ kinds, words }: TestOptions, files: readonly string[]): boolean {
  return kinds.includes('vm') && files.some((file) => words.some((word) => file.includes(word)));
}

/** Builds programs on the host in the folder that the guest shares, because the guest has no Go. */
async function buildKubelet(architecture: Architecture): Promise<void> {
  const layout = stackLayout(process.env, architecture);
  await ensureGoTool(layout, 'kubelet');
  // A node of another architecture has a C compiler.
  if (architecture === ownArchitecture()) await ensureProgram(layout, 'grpc-health');
}

/** Returns the versions of the node's software, for the report. */
async function describe(machine: Machine): Promise<string> {
  const versions = await machine.run(
    `. /etc/os-release; echo "$PRETTY_NAME, kernel $(uname -r), systemd $(systemctl --version | sed -n '1s/systemd \\([0-9]*\\).*/\\1/p')"
     echo "containerd $(containerd --version | cut -d' ' -f3), $(runc --version | head -1), $(crun --version | head -1), Node $(node --version)"
     echo "$(stat -fc %T /sys/fs/cgroup), AppArmor: $(cat /sys/module/apparmor/parameters/enabled)"`,
  );
  return versions.trim().replaceAll('\n', ', ');
}
