import assert from 'node:assert/strict';
import { mkdtemp, readdir, rename, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { after, before } from 'node:test';
import { PodSandboxState } from '../../generated/runtime/v1/api.js';
import { image } from '../../tools/stack/image-parts.js';
import { layer, pushImage } from '../../tools/stack/image-push.js';
import { mountsBelow } from '../../tools/stack/leftovers.js';
import { goModule } from '../../tools/stack/go-modules.js';
import { ensureGoTool } from '../../tools/stack/gotools.js';
import { ensureProgram } from '../../tools/stack/programs.js';
import { startRegistry, type Registry } from '../../tools/stack/registry.js';
import { until } from '../../tools/stack/wait.js';
import type { CriClient } from '../harness/cri-client.js';
import { startCrid, type Crid } from '../harness/crid.js';
import { kubeletPods, type Pod } from '../harness/kubelet-api.js';
import { unexpectedErrors, type Expected } from '../harness/kubelet-log.js';
import { startKubelet, type Kubelet, type KubeletOptions } from '../harness/kubelet.js';
import { assertLeavesNothing, leaks, type Inventory } from '../harness/leaks.js';
import { pullImage, removeAllPods } from '../harness/pod.js';
import { limitCount, limitMs } from '../harness/slowness.js';
import { testStack, type Stack, type TestStack } from '../harness/test-stack.js';
import { alwaysExpected } from './expected.js';
import { IMAGE, podManifest, type PodSpec } from './manifest.js';
import { podHandle, type PodHandle } from './pod-handle.js';

/** The processes that the tests of one kubelet use. It is available once the first test runs. */
export interface KubeletSuite {
  readonly stack: TestStack;
  readonly crid: Crid;
  readonly kubelet: Kubelet;
  /** A registry for the images of this suite. It is empty at first. */
  readonly registry: Registry;
  /** Writes a manifest, from which the kubelet creates a pod. */
  pod(name: string, spec: PodSpec): Promise<PodHandle>;
  /** Returns the kubelet's pods, cached for a moment. */
  pods(): Promise<Pod[]>;
  /** Declares errors in the kubelet's log that a test causes. */
  expect(pattern: RegExp, reason: string): void;
  /** The image of a server for gRPC health checks. */
  readonly grpcImage: string;
  /** Whether the kubelet takes the states of containers from events. */
  readonly takesEvents: boolean;
}

export interface KubeletSuiteOptions extends Pick<KubeletOptions, 'config' | 'featureGates'> {
  readonly expected?: readonly Expected[];
  /** Starts a separate stack, instead of the one of all files. */
  readonly stack?: () => Promise<Stack>;
}

/**
 * Runs all tests at once, because each uses its own pod. On a slow machine fewer, so that they finish within the
 * limits.
 */
export const AT_ONCE = { concurrency: limitCount(50), timeout: limitMs(600_000) };

/** For tests in which the kubelet misbehaves if an event is late: as many as a node with two CPUs can handle. */
export const SOME_AT_ONCE = { ...AT_ONCE, concurrency: limitCount(8) };

/** The minor version of the kubelet under test. */
export const KUBELET_MINOR = Number(/^v1\.(\d+)/.exec(goModule('kubelet').version)?.[1]);

const GONE_LIMIT_MS = 120_000;
const FRESH_MS = 250;
const GRPC_REPOSITORY = 'crid-test/grpc-health';

/**
 * Starts crid and a kubelet on it before the first test. After the last one it removes every manifest, waits until the
 * kubelet has stopped all pods, and fails if the kubelet's log has an unexpected error or anything is left behind.
 */
export function kubeletSuite(options: KubeletSuiteOptions = {}): KubeletSuite {
  let made: Parts | undefined;
  let asked: { atMs: number; pods: Promise<Pod[]> } | undefined;
  const expected = [...alwaysExpected, ...(options.expected ?? [])];
  const parts = (): Parts => {
    assert.ok(made, 'the kubelet has been started');
    return made;
  };
  const suite: KubeletSuite = {
    get stack() {
      return parts().stack;
    },
    get crid() {
      return parts().crid;
    },
    get kubelet() {
      return parts().kubelet;
    },
    get registry() {
      return parts().registry;
    },
    takesEvents: options.featureGates?.['EventedPLEG'] ?? false,
    get grpcImage() {
      return `${parts().registry.host}/${GRPC_REPOSITORY}:latest`;
    },
    async pod(name, spec) {
      await writeManifest(parts().kubelet, name, podManifest(name, spec));
      const { crid, kubelet } = parts();
      return podHandle({ kubelet, pods: suite.pods, runtime: () => crid.runtime }, name);
    },
    pods() {
      if (!asked || performance.now() - asked.atMs > FRESH_MS) {
        asked = { atMs: performance.now(), pods: kubeletPods(parts().kubelet.url) };
      }
      return asked.pods;
    },
    expect: (pattern, reason) => void expected.push({ pattern, reason }),
  };
  before(async () => void (made = await start(options)));
  after(() => finish(parts(), expected));
  return suite;
}

interface Parts {
  readonly stack: TestStack;
  readonly crid: Crid;
  readonly kubelet: Kubelet;
  readonly registry: Registry;
  readonly baseline: Inventory;
}

async function start({ config, featureGates, stack: own }: KubeletSuiteOptions): Promise<Parts> {
  const stack = await (own ?? testStack)();
  const program = await ensureGoTool(stack.layout, 'kubelet');
  const crid = await startCrid(stack);
  await pullImage(crid, IMAGE);
  const dir = await mkdtemp(join(stack.dir, 'images-'));
  const registry = await startRegistry(stack.layout, { dir, storage: join(dir, 'storage') });
  const server = layer([
    { name: 'grpc-health', mode: 0o755, body: await ensureProgram(stack.layout, 'grpc-health') },
    { name: 'tmp' },
  ]);
  await pushImage(registry.url, image(GRPC_REPOSITORY, ['latest'], [server], {}));
  const baseline = await leaks(stack);
  const kubelet = await startKubelet(stack, {
    program,
    socket: crid.socket,
    ...(config && { config }),
    ...(featureGates && { featureGates }),
  });
  return { stack, crid, kubelet, registry, baseline };
}

async function finish({ stack, crid, kubelet, registry, baseline }: Parts, expected: readonly Expected[]) {
  try {
    await removeManifests(kubelet, crid);
    await kubelet.dispose();
    // Remove what the kubelet would remove later: it looks for dead containers once a minute.
    await removeAllPods(crid);
    assert.deepEqual(unexpectedErrors(await kubelet.log(), expected), [], 'errors in the log of the kubelet');
    await assertLeavesNothing(stack, baseline);
  } finally {
    await kubelet.dispose();
    await removeAllPods(crid);
    await registry.stop();
    await crid.stop();
    crid.close();
  }
}

/** Removes every manifest and waits until the kubelet has stopped all pods and unmounted their volumes. */
export async function removeManifests(
  { manifests, root }: Pick<Kubelet, 'manifests' | 'root'>,
  { runtime }: CriClient,
): Promise<void> {
  for (const name of await readdir(manifests)) await rm(join(manifests, name));
  await until('the kubelet has stopped all pods', limitMs(GONE_LIMIT_MS), async () => {
    const { items } = await runtime.listPodSandbox({});
    const left = [
      ...items.filter(({ state }) => state === PodSandboxState.SANDBOX_READY).map(({ metadata }) => metadata?.name),
      ...(await mountsBelow(join(root, 'pods'))),
    ];
    if (left.length > 0) throw new Error(left.join(', '));
    return true;
  });
}

/**
 * Writes a manifest atomically, so that the kubelet never reads half of it. The kubelet ignores file names that begin
 * with a dot.
 */
export async function writeManifest(
  { manifests }: Pick<Kubelet, 'manifests'>,
  name: string,
  manifest: object,
): Promise<void> {
  const partial = join(manifests, `.${name}`);
  await writeFile(partial, JSON.stringify(manifest));
  await rename(partial, join(manifests, `${name}.json`));
}
