import { existsSync } from 'node:fs';
import { mkdir, mkdtemp, readdir, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { IMAGE_NEEDS, installHostPackages, missingPackages, STACK_NEEDS } from './host-packages.js';
import { haveImages, makeImages } from './images.js';
import { goModule, usesPackagedContainerd } from './go-modules.js';
import { ensureGoTool } from './gotools.js';
import type { Layout } from './layout.js';
import { withLock } from './lock.js';
import { havePackages, makePackages } from './packages.js';
import { startRegistry } from './registry.js';
import { silentSteps, type Step } from './steps.js';

/** Makes sure that this machine has everything that a stack needs. If it has, this takes a few milliseconds. */
export async function prepareStack(layout: Layout, step: Step = silentSteps): Promise<void> {
  if (process.getuid?.() !== 0) {
    throw new Error('a private containerd needs root: it makes containers, mounts, network namespaces and a bridge');
  }
  if (!usesPackagedContainerd() && !existsSync(join(layout.containerdBin, 'containerd'))) {
    const name = `containerd ${goModule('containerd').version}`;
    await step(`build ${name} from its Go module (a few minutes)`, () => ensureGoTool(layout, 'containerd'));
  }
  const needs = (await haveImages(layout)) ? STACK_NEEDS : [...STACK_NEEDS, ...IMAGE_NEEDS];
  const missing = await missingPackages(needs);
  const isWhole = async (): Promise<boolean> => (await havePackages(layout)) && (await haveImages(layout));
  if (missing.length === 0 && (await isWhole())) return;
  await withLock(join(layout.dir, 'lock'), async () => {
    if (missing.length > 0) {
      await step(`install ${missing.join(', ')} with apt`, () => installHostPackages(missing));
    }
    if (!(await havePackages(layout))) {
      await step(`download containerd, runc, CNI plugins and a registry to ${layout.dir}`, () => makePackages(layout));
    }
    if (!(await haveImages(layout))) await step('make the images', () => fillRegistry(layout));
  });
}

async function fillRegistry(layout: Layout): Promise<void> {
  await mkdir(layout.registry, { recursive: true });
  // In a VM the folder itself is a link to one that the host shares.
  for (const name of await readdir(layout.registry)) await rm(join(layout.registry, name), { recursive: true });
  const dir = await mkdtemp(join(tmpdir(), 'crid-images-'));
  const registry = await startRegistry(layout, { dir });
  try {
    await makeImages(layout, registry.url);
  } finally {
    await registry.stop();
    await rm(dir, { recursive: true });
  }
}
