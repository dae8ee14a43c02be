import { mkdir } from 'node:fs/promises';
import { VERSIONS } from '../stack/go-modules.js';
import { stackLayout } from '../stack/layout.js';
import { prepareStack } from '../stack/prepare.js';
import type { Step } from '../stack/steps.js';
import { EXCHANGE, SHARED } from './checkout.js';
import { attachMachine, startMachine, type Machine } from './machine.js';
import { GUEST_STACK } from './recipe.js';
import { quote } from './ssh.js';

/**
 * The guest's environment for a stack of its installed packages, with the systemd cgroup driver. Node's compile cache
 * is on because each test file starts Node programs. The versions of the programs are those of the host, which builds
 * them.
 */
export const GUEST_ENVIRONMENT = [
  `CRID_STACK_DIR=${GUEST_STACK} CRID_STACK_CGROUP_DRIVER=systemd NODE_COMPILE_CACHE=/var/cache/node`,
  ...VERSIONS.map((name) => `${name}=${quote(process.env[name] ?? '')}`),
].join(' ');

/**
 * Starts a node with the stack's images and the Go tools at the same paths as on the host. If CRID_VM is the folder of
 * a running node, attaches to that node, which keeps running.
 */
export async function useNode(step: Step): Promise<Machine> {
  const running = process.env['CRID_VM'];
  if (running) return attachMachine(running);
  const layout = stackLayout();
  await prepareStack(layout, step);
  for (const folder of [layout.goTools, EXCHANGE]) await mkdir(folder, { recursive: true });
  const machine = await startMachine({ step, shares: [SHARED, layout.registry, layout.goTools] });
  await machine.run(
    `cd ${GUEST_STACK} && ln -s ${quote(layout.registry)} registry && ln -s ${quote(layout.goTools)} go`,
  );
  return machine;
}
