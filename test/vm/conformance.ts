import { mkdtemp, rm } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { writeCerts } from '../../tools/stack/containerd-config.js';
import { goModule, usesPackagedContainerd } from '../../tools/stack/go-modules.js';
import { ensureGoTool } from '../../tools/stack/gotools.js';
import { stackLayout } from '../../tools/stack/layout.js';
import { startRegistry } from '../../tools/stack/registry.js';
import type { Step } from '../../tools/stack/steps.js';
import { EXCHANGE } from '../../tools/vm/checkout.js';
import type { Machine } from '../../tools/vm/machine.js';
import { HOST_ADDRESS } from '../../tools/vm/recipe.js';
import { quote } from '../../tools/vm/ssh.js';
import type { ServerName } from '../conformance/options.js';
import { describeReport, type Report, type Spec } from '../conformance/report.js';
import { runSuite } from '../conformance/suite.js';
import { behind, describeComparison, excusesOf, withAtLeast, withoutExcuse } from '../conformance/verdict.js';
import type { Counts } from '../runner/run-files.js';
import { NRI_SOCKET, replaceContainerd, runningContainerd, startServer } from './installed.js';
import type { ConformanceOptions } from './options.js';

const SUITE_LIMIT_MS = 5_400_000;
const TITLE = { crid: 'crid', reference: "containerd's own CRI plugin" };

interface Voice {
  readonly step: Step;
  readonly say: (text: string) => void;
}

/**
 * Runs critest in the guest on each handler, against crid as a service, containerd's own CRI plugin, or both. The
 * service runs the containerd of CRID_CONTAINERD, as all stacks do. With both, a spec that only the plugin passes
 * counts as a failure.
 */
export async function conformance(machine: Machine, options: ConformanceOptions, voice: Voice): Promise<Counts> {
  const { step } = voice;
  if (usesPackagedContainerd()) return onService(machine, options, voice);
  const layout = stackLayout(process.env, machine.architecture);
  const program = await step('build containerd', () => ensureGoTool(layout, 'containerd'));
  const giveBack = await replaceContainerd(machine, dirname(program));
  const counts = await onService(machine, options, voice).catch(async (error: unknown) => {
    await giveBack().catch((second: unknown) => voice.say(`${String(second)}\n`));
    throw error;
  });
  await giveBack();
  return counts;
}

async function onService(machine: Machine, options: ConformanceOptions, voice: Voice): Promise<Counts> {
  const { servers, handlers } = options;
  const { step, say } = voice;
  const guest = stackLayout(process.env, machine.architecture);
  const critest = await step('build critest', () => ensureGoTool(guest, 'critest'));
  // In the machine's folder, so that the sweep after a killed run finds the registry too.
  const dir = await mkdtemp(join(machine.dir, 'registry-'));
  const registry = await step('start a registry', () => startRegistry(stackLayout(), { dir, storage: guest.registry }));
  const total = { passed: 0, failed: 0, skipped: 0 };
  try {
    await pointToRegistry(machine, registry.url);
    const reports: Record<string, Partial<Record<ServerName, Report>>> = {};
    for (const server of servers) {
      const socket = await step(`start ${server === 'crid' ? 'crid' : 'containerd'}`, () =>
        startServer(machine, server),
      );
      const title = `${TITLE[server]}, containerd ${await runningContainerd(machine)}`;
      for (const handler of handlers) {
        say(`\ncritest ${goModule('critest').version} against ${title}, on ${handler}\n`);
        const report = await runOn(machine, { ...options, critest, server, socket, handler }, voice);
        (reports[handler] ??= {})[server] = report;
        // Without crid, the plugin's counts are the result.
        if (server === 'reference' && servers.includes('crid')) continue;
        total.passed += report.passed.length;
        total.failed += report.failed.length;
        total.skipped += report.skipped.length;
      }
    }
    for (const [handler, { crid, reference }] of Object.entries(reports)) {
      if (!crid || !reference) continue;
      say(`\non ${handler}\n${describeComparison({ crid, "containerd's": reference })}\n`);
      const missing = behind(crid, reference).filter((name) => crid.failed.every((failed) => failed.name !== name));
      for (const name of missing) say(`only the plugin passed ${name}\n`);
      total.failed += missing.length;
    }
    return total;
  } finally {
    await registry.stop();
    await rm(dir, { recursive: true });
  }
}

interface OneRun extends ConformanceOptions {
  readonly critest: string;
  readonly server: ServerName;
  readonly socket: string;
  readonly handler: string;
}

async function runOn(machine: Machine, options: OneRun, { step, say }: Voice): Promise<Report> {
  const { server, handler } = options;
  const folder = join(EXCHANGE, 'conformance', `${server}-${handler}`);
  const { report: found, log } = await step('run critest', () =>
    runSuite({ ...options, nriSocket: NRI_SOCKET, folder, execute: executeIn(machine), limitMs: SUITE_LIMIT_MS }),
  );
  // An older containerd's plugin may skip specs; crid may not.
  const report = withAtLeast(
    server === 'crid' ? withoutExcuse(found, excusesOf({ hasAppArmor: true })) : found,
    options.least,
  );
  say(`  its log: ${log}\n\npassed:\n${report.passed.map(describePassed).join('')}\n${describeReport(report)}\n`);
  return report;
}

/** Makes the guest's containerd pull every image from the registry on the host's loopback. */
async function pointToRegistry(machine: Machine, url: string): Promise<void> {
  const certs = join(EXCHANGE, 'certs.d');
  await rm(certs, { recursive: true, force: true });
  await writeCerts(certs, url.replace('127.0.0.1', HOST_ADDRESS));
  await machine.run(`rm -rf /etc/containerd/certs.d && cp -r ${quote(certs)} /etc/containerd/certs.d`);
}

const executeIn =
  (machine: Machine) =>
  async (program: string, logFile: string, args: readonly string[]): Promise<string> => {
    const script = `exec ${[program, ...args].map(quote).join(' ')} >${quote(logFile)} 2>&1`;
    const { code } = await machine.answer(script, { timeoutMs: SUITE_LIMIT_MS });
    return `exit code ${code}`;
  };

const describePassed = ({ name, durationMs }: Spec): string => `  ${name} (${(durationMs / 1000).toFixed(1)} s)\n`;
