import { chmod, mkdtemp } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createBridge, removeBridge, type Bridge } from './bridge.js';
import { createContainerd, type PrivateContainerd } from './containerd.js';
import type { ContainerdOptions } from './containerd-config.js';
import { onDispose } from './disposers.js';
import { stackLayout, type Layout } from './layout.js';
import { killShims, removeTree } from './leftovers.js';
import { removePodNetns } from './netns.js';
import { claim, sweepAbandoned } from './owner.js';
import { prepareStack } from './prepare.js';
import { startRegistry, type Registry } from './registry.js';
import { silentSteps, type Step } from './steps.js';
import { removeTaskTraces } from './task-traces.js';

export interface StackOptions extends ContainerdOptions {
  readonly step?: Step;
  /** The registry of another stack (`http://127.0.0.1:PORT`) to use instead of a new one. */
  readonly registryUrl?: string;
}

/** A private registry, containerd and network, in one folder with a short path. */
export interface Stack {
  readonly dir: string;
  readonly layout: Layout;
  readonly registry: Pick<Registry, 'host' | 'url'>;
  readonly containerd: PrivateContainerd;
  readonly bridge: Bridge;
  readonly cniConfDir: string;
  readonly cniBinDir: string;
  readonly runcPath: string;
  /** Stops everything and removes every trace of it. It also runs when the process ends. */
  dispose(): Promise<void>;
}

/** Paths of unix sockets have at most 107 bytes, and shims and streams append to this path. */
const MAX_BASE_CHARS = 30;

export async function startStack(options: StackOptions = {}): Promise<Stack> {
  const { step = silentSteps } = options;
  const layout = stackLayout();
  await prepareStack(layout, step);
  await sweepAbandoned();
  const base = tmpdir().length > MAX_BASE_CHARS ? '/tmp' : tmpdir();
  const dir = await mkdtemp(join(base, 'crid-stack-'));
  // The root of a user namespace is an unprivileged user here, and must be able to reach its rootfs.
  await chmod(dir, 0o711);
  const parts: Parts = { dir };
  const dispose = onDispose(`stack ${dir}`, () => cleanUp(parts));
  try {
    const bridge = (parts.bridge = await createBridge(dir));
    await claim(dir, bridge.name);
    const registry = options.registryUrl
      ? { url: options.registryUrl, host: new URL(options.registryUrl).host }
      : (parts.registry = await step('start a registry on loopback', () => startRegistry(layout, { dir })));
    const containerd = await createContainerd(layout, dir, bridge.confDir, registry.url, options);
    parts.containerd = containerd;
    await step(`start containerd on ${containerd.socket}`, () => containerd.start());
    return {
      dir,
      layout,
      registry,
      containerd,
      bridge,
      cniConfDir: bridge.confDir,
      cniBinDir: layout.cniBin,
      runcPath: join(layout.bin, 'runc'),
      dispose,
    };
  } catch (error) {
    await dispose();
    throw error;
  }
}

interface Parts {
  readonly dir: string;
  bridge?: Bridge;
  registry?: Registry;
  containerd?: PrivateContainerd;
}

/** Tries to remove each part even if others fail. Throws the first failure. */
async function cleanUp({ dir, bridge, registry, containerd }: Parts): Promise<void> {
  const failures: unknown[] = [];
  const attempt = (work: Promise<void> | undefined): Promise<void> =>
    (work ?? Promise.resolve()).catch((error: unknown) => void failures.push(error));
  if (containerd) {
    // The namespaces of this stack can be recognised only while its pods run.
    await attempt(removePodNetns(containerd.socket, bridge?.name));
    await attempt(containerd.kill());
    await attempt(killShims(containerd.socket));
    await attempt(removeTaskTraces(containerd.state));
  }
  await attempt(registry?.stop());
  if (bridge) await attempt(removeBridge(bridge.name));
  await attempt(removeTree(dir));
  if (failures.length > 0) throw failures[0];
}
