import { mkdtemp, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { writeCerts } from '../../tools/stack/containerd-config.js';
import { CRI_TOOLS, ensureGoTool } from '../../tools/stack/gotools.js';
import { stackLayout } from '../../tools/stack/layout.js';
import { startRegistry } from '../../tools/stack/registry.js';
import type { Step } from '../../tools/stack/steps.js';
import { EXCHANGE } from '../../tools/vm/checkout.js';
import type { Machine } from '../../tools/vm/machine.js';
import { HOST_ADDRESS } from '../../tools/vm/recipe.js';
import { quote } from '../../tools/vm/ssh.js';
import { describeReport, type Spec } from '../conformance/report.js';
import { runSuite } from '../conformance/suite.js';
import { withAtLeast, withoutExcuse } from '../conformance/verdict.js';
import type { Counts } from '../runner/run-files.js';
import { startServer } from './installed.js';
import type { ConformanceOptions } from './options.js';

const SUITE_LIMIT_MS = 5_400_000;

interface Voice {
  readonly step: Step;
  readonly say: (text: string) => void;
}

/** Runs critest in the guest on each handler, against crid as a service or containerd's own CRI plugin. */
export async function conformance(machine: Machine, options: ConformanceOptions, voice: Voice): Promise<Counts> {
  const { server, handlers } = options;
  const { step, say } = voice;
  const layout = stackLayout();
  const critest = await step('build critest', () => ensureGoTool(layout, 'critest'));
  // In the machine's folder, so that the sweep after a killed run finds the registry too.
  const dir = await mkdtemp(join(machine.dir, 'registry-'));
  const registry = await step('start a registry', () => startRegistry(layout, { dir }));
  try {
    await pointToRegistry(machine, registry.url);
    const socket = await step(`start ${server === 'crid' ? 'crid' : 'containerd'}`, () => startServer(machine, server));
    const total = { passed: 0, failed: 0, skipped: 0 };
    for (const handler of handlers) {
      const folder = join(EXCHANGE, 'conformance', `${server}-${handler}`);
      say(
        `\ncritest ${CRI_TOOLS.version} against ${server === 'crid' ? 'crid' : "containerd's own CRI"} on ${handler}\n`,
      );
      const { report: found, log } = await step('run critest', () =>
        runSuite({
          ...options,
          critest,
          socket,
          folder,
          handler,
          execute: executeIn(machine),
          limitMs: SUITE_LIMIT_MS,
        }),
      );
      // Against crid no spec may be skipped, because this node has everything. An older containerd's plugin may skip
      // specs.
      const report = withAtLeast(server === 'crid' ? withoutExcuse(found, []) : found, options.least);
      say(`  its log: ${log}\n\npassed:\n${report.passed.map(describePassed).join('')}\n${describeReport(report)}\n`);
      total.passed += report.passed.length;
      total.failed += report.failed.length;
      total.skipped += report.skipped.length;
    }
    return total;
  } finally {
    await registry.stop();
    await rm(dir, { recursive: true });
  }
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
