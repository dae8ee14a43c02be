import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import { ownArchitecture, type Architecture } from '../stack/architectures.js';
import { PACKAGED, usesPackagedContainerd, VERSIONS } from '../stack/go-modules.js';
import { ensureGoTool } from '../stack/gotools.js';
import { haveImages } from '../stack/images.js';
import { stackLayout } from '../stack/layout.js';
import { prepareStack } from '../stack/prepare.js';
import { buildRoot, projectRoot } from '../stack/project.js';
import type { Step } from '../stack/steps.js';
import { copyCheckout, EXCHANGE, SHARED } from './checkout.js';
import { attachMachine, startMachine, type Machine } from './machine.js';
import { GUEST_STACK } from './recipe.js';
import { quote } from './ssh.js';

const IMAGES_LIMIT_MS = 1_200_000;

/**
 * The guest's environment for a stack of its installed packages, with the systemd cgroup driver. Node's compile cache
 * is on because each test file starts Node programs. The versions of the programs are those of the host, which builds
 * them.
 */
export const guestEnvironment = (): string =>
  [
    `CRID_STACK_DIR=${GUEST_STACK} CRID_STACK_CGROUP_DRIVER=systemd NODE_COMPILE_CACHE=/var/cache/node`,
    ...VERSIONS.map((name) => `${name}=${quote(process.env[name] ?? '')}`),
  ].join(' ');

/**
 * Starts a node with the stack's images and the Go tools at the same paths as on the host. If CRID_VM is the folder of
 * a running node, attaches to that node, which keeps running. On a node of another architecture than the host's, tests
 * use the packaged containerd unless CRID_CONTAINERD chooses another one.
 */
export async function useNode(architecture: Architecture, step: Step): Promise<Machine> {
  const running = process.env['CRID_VM'];
  const isForeign = architecture !== ownArchitecture();
  if (isForeign) process.env['CRID_CONTAINERD'] ||= PACKAGED;
  if (running) return runningNode(running, architecture);
  await prepareStack(stackLayout(), step);
  const layout = stackLayout(process.env, architecture);
  if (isForeign && !usesPackagedContainerd()) {
    await step(`build containerd for ${architecture}`, () => ensureGoTool(layout, 'containerd'));
  }
  for (const folder of [layout.registry, layout.goTools, EXCHANGE]) await mkdir(folder, { recursive: true });
  const machine = await startMachine({ architecture, step, shares: [SHARED, layout.registry, layout.goTools] });
  await machine.run(
    `cd ${GUEST_STACK} && ln -s ${quote(layout.registry)} registry && ln -s ${quote(layout.goTools)} go`,
  );
  // The host has prepared its own.
  if (!(await haveImages(layout))) await step('make the images on the node', () => makeImagesOn(machine));
  return machine;
}

async function runningNode(dir: string, architecture: Architecture): Promise<Machine> {
  const machine = await attachMachine(dir);
  if (machine.architecture === architecture) return machine;
  throw new Error(`CRID_VM: the node in ${dir} is of ${machine.architecture}, not ${architecture}`);
}

async function makeImagesOn(machine: Machine): Promise<void> {
  await copyCheckout(machine);
  const program = `node ${quote(join(buildRoot, 'tools', 'prepare-stack.js'))}`;
  await machine.run(`cd ${quote(projectRoot)} && exec env ${guestEnvironment()} ${program}`, {
    timeoutMs: IMAGES_LIMIT_MS,
  });
}
