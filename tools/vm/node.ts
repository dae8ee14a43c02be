import { mkdir } from 'node:fs/promises';
import { stackLayout } from '../stack/layout.js';
import { prepareStack } from '../stack/prepare.js';
import type { Step } from '../stack/steps.js';
import { EXCHANGE, SHARED } from './checkout.js';
import { attachMachine, startMachine, type Machine } from './machine.js';
import { GUEST_STACK } from './recipe.js';
import { quote } from './ssh.js';

/**
 * What the guest needs in its environment for the stack to be of its own packages, with the systemd cgroup driver. Programs
 * of Node.js keep what they have compiled: each file of tests starts some.
 */
export const GUEST_ENVIRONMENT = `CRID_STACK_DIR=${GUEST_STACK} CRID_STACK_CGROUP_DRIVER=systemd NODE_COMPILE_CACHE=/var/cache/node`;

/**
 * A node that has the stack's images and the Go tools at their own paths. With CRID_VM, the folder of one that runs, that
 * one; it stays.
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
