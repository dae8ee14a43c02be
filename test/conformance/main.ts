import { join } from 'node:path';
import { appArmorEnabled } from '../../src/host/security/host-apparmor.js';
import { goModule, usesPackagedContainerd } from '../../tools/stack/go-modules.js';
import { ensureGoTool } from '../../tools/stack/gotools.js';
import { projectRoot } from '../../tools/stack/project.js';
import { startStack, type Stack } from '../../tools/stack/stack.js';
import { spokenSteps } from '../../tools/stack/steps.js';
import { startCrid, type Crid } from '../harness/crid.js';
import { IS_PINNED, SANDBOXER } from '../harness/sandboxer.js';
import { parseOptions, type Options, type ServerName } from './options.js';
import { startOwnPids } from './own-pids.js';
import { describeReport, type Report } from './report.js';
import { runSuite } from './suite.js';
import { behind, describeComparison, excusesOf, withoutExcuse } from './verdict.js';

const TITLE = { crid: 'crid', reference: "containerd's own CRI plugin" };

const say = (text: string): void => void process.stderr.write(text);
const step = spokenSteps(say);

try {
  process.exitCode = (await main(parseOptions(process.argv.slice(2)))) ? 0 : 1;
} catch (thrown) {
  say(`conformance: ${thrown instanceof Error ? thrown.message : String(thrown)}\n`);
  process.exitCode = 1;
}

/** Prints each server's report, crid's last. Returns whether crid (or else the server that ran) is conformant. */
async function main(options: Options): Promise<boolean> {
  if (process.getuid?.() !== 0) throw new Error('needs root: it starts a containerd, and pods with networks');
  const excuses = excusesOf({ hasAppArmor: appArmorEnabled() });
  const reports = new Map<ServerName, Report>();
  for (const server of [...options.servers].sort().reverse()) {
    const found = await conformance(server, options);
    // The plugin of an older containerd may skip specs of newer features; crid may not.
    const report = server === 'crid' ? withoutExcuse(found, excuses) : found;
    reports.set(server, report);
    process.stdout.write(`${TITLE[server]}\n${describeReport(report)}\n\n`);
  }
  const [crid, reference] = [reports.get('crid'), reports.get('reference')];
  for (const { spec, reason } of excuses) process.stdout.write(`may be skipped, since ${reason}: ${spec.source}\n`);
  if (crid && reference) {
    process.stdout.write(`${describeComparison({ crid, "containerd's": reference })}\n`);
    const missing = behind(crid, reference);
    if (missing.length > 0) throw new Error(`only the plugin passed ${missing.join('; ')}`);
  }
  const report = crid ?? reference;
  if (!report) return false;
  process.stdout.write(
    `${report.passed.length} passed, ${report.failed.length} failed, ${report.skipped.length} skipped\n`,
  );
  return report.failed.length === 0 && report.passed.length > 0;
}

async function conformance(server: ServerName, options: Options): Promise<Report> {
  const containerd = usesPackagedContainerd() ? 'packaged' : goModule('containerd').version;
  say(`critest ${goModule('critest').version} against ${TITLE[server]}, containerd ${containerd}\n`);
  // The plugin sometimes leaves a namespace behind that it could not remove. Below `state` it is removed with the
  // stack.
  const plugin = { cri: true, runtime: { netns_mounts_under_state_dir: true } };
  const stack = await startStack({ ...(server === 'reference' && plugin), step });
  try {
    const critest = await step('build critest', () => ensureGoTool(stack.layout, 'critest'));
    const { socket, nriSocket, stop } = await serve(server, stack);
    try {
      const name = server === 'crid' && SANDBOXER !== '' ? `crid-${SANDBOXER}` : server;
      const folder = join(projectRoot, 'build', 'conformance', containerd, name);
      const { report, log } = await step('run critest (a minute or two)', () =>
        runSuite({ ...options, critest, socket, nriSocket, folder }),
      );
      say(`  its log: ${log}\n\n`);
      return report;
    } finally {
      await stop().catch((error: unknown) => say(`  stop: ${String(error)}\n`));
    }
  } finally {
    await step('clean up', () => stack.dispose());
  }
}

interface Server {
  readonly socket: string;
  readonly nriSocket: string;
  stop(): Promise<unknown>;
}

async function serve(server: ServerName, stack: Stack): Promise<Server> {
  const { socket, nriSocket } = stack.containerd;
  if (server === 'reference') return { socket, nriSocket, stop: () => Promise.resolve() };
  const config = { crid: { log_level: IS_PINNED ? 'debug' : 'info' } };
  const crid = await step('start crid', () => startCrid(stack, { config }));
  if (!IS_PINNED) return { socket: crid.socket, nriSocket: crid.nriSocket, stop: crid.stop };
  const socketOfOwnPids = join(crid.dir, 'own-pids.sock');
  const ownPids = await startOwnPids(crid.socket, socketOfOwnPids);
  const stop = async (): Promise<unknown> => {
    ownPids.close();
    say(`  pods without a pause container: ${await pinnedPods(crid)}\n`);
    return crid.stop();
  };
  return { socket: socketOfOwnPids, nriSocket: crid.nriSocket, stop };
}

/** Returns `73 of 90`: the pods without a pause container, of those that crid has run. */
async function pinnedPods(crid: Crid): Promise<string> {
  const done = (await crid.logLines()).filter(({ msg }) => msg === 'step done').map(({ step: name }) => name);
  const [all = 0, withPause = 0] = ['create lease', 'create pause task'].map(
    (name) => done.filter((each) => each === name).length,
  );
  return `${all - withPause} of ${all}`;
}
