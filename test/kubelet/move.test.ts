import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import { writeContainerdConfig } from '../../tools/stack/containerd-config.js';
import { ensureGoTool } from '../../tools/stack/gotools.js';
import { startCrid, type Crid } from '../harness/crid.js';
import { criClient, type CriClient } from '../harness/cri-client.js';
import { kubeletPods } from '../harness/kubelet-api.js';
import { parseEvents, unexpectedErrors } from '../harness/kubelet-log.js';
import { startKubelet, type Kubelet } from '../harness/kubelet.js';
import { assertLeavesNothing, leaks } from '../harness/leaks.js';
import { pullImage, removeAllPods } from '../harness/pod.js';
import { IS_PINNED } from '../harness/sandboxer.js';
import { limitMs } from '../harness/slowness.js';
import { startStack, type Stack } from '../harness/test-stack.js';
import { alwaysExpected } from './expected.js';
import { lives } from './lives.js';
import { IMAGE, podManifest, type PodSpec } from './manifest.js';
import { podHandle, type PodHandle } from './pod-handle.js';
import { removeManifests, writeManifest } from './suite.js';

const SPECS: Readonly<Record<string, PodSpec>> = {
  plain: { containers: [{ name: 'main' }] },
  probed: {
    containers: [
      {
        name: 'main',
        livenessProbe: { exec: { command: ['true'] }, periodSeconds: 1, failureThreshold: 1, timeoutSeconds: 60 },
      },
    ],
  },
  sidecar: { initContainers: [{ name: 'side', restartPolicy: 'Always' }], containers: [{ name: 'main' }] },
};

/** The steps of docs/kubelet.md, "Moving a node, and back". */
describe('a node moves from the CRI plugin of containerd to crid, and back', { timeout: limitMs(600_000) }, () => {
  let stack: Stack;
  let kubelet: Kubelet;
  let crid: Crid | undefined;
  /** The CRI server that the kubelet uses now. */
  let server: CriClient;
  let seen: object = {};
  const pods: PodHandle[] = [];

  before(async () => {
    stack = await startStack({ cri: true });
    server = criClient(stack.containerd.socket);
    await pullImage(server, IMAGE);
    const program = await ensureGoTool(stack.layout, 'kubelet');
    kubelet = await startKubelet(stack, { program, socket: stack.containerd.socket });
  });
  after(async () => {
    await stack.dispose();
  });

  async function make(name: string, spec: PodSpec): Promise<void> {
    await writeManifest(kubelet, name, podManifest(name, spec));
    pods.push(podHandle({ kubelet, runtime: () => server.runtime, pods: () => kubeletPods(kubelet.url) }, name));
  }
  /**
   * Stops the kubelet and crid, restarts containerd with or without its plugin, and starts the kubelet on the other
   * socket.
   */
  async function move(to: 'plugin' | 'crid'): Promise<void> {
    await kubelet.stop();
    await crid?.stop();
    await writeContainerdConfig(stack.layout, stack.containerd, stack.cniConfDir, { cri: to === 'plugin' });
    await stack.containerd.stop();
    await stack.containerd.start();
    crid = to === 'crid' ? await startCrid(stack) : undefined;
    server.close();
    server = criClient(crid?.socket ?? stack.containerd.socket);
    await kubelet.start({ containerRuntimeEndpoint: `unix://${server.socket}` });
  }
  async function assertUndisturbed(): Promise<void> {
    for (const pod of pods) await pod.ready();
    assert.deepEqual(await lives(server, pods), seen);
    const log = await kubelet.log();
    assert.deepEqual(
      parseEvents(log).filter(({ reason }) => reason === 'SandboxChanged' || reason === 'Killing'),
      [],
    );
    assert.deepEqual(unexpectedErrors(log, alwaysExpected), []);
  }

  it('pods run on the plugin', async () => {
    for (const [name, spec] of Object.entries(SPECS)) await make(name, spec);
    for (const pod of pods) await pod.ready();
    seen = await lives(server, pods);
  });

  it('crid adopts them: same processes, same addresses, nothing restarted', async () => {
    await move('crid');
    await assertUndisturbed();
    // The plugin cannot take a pod without a pause container.
    await make('of-crid', { ...(IS_PINNED && { shareProcessNamespace: true }), containers: [{ name: 'main' }] });
    for (const pod of pods) await pod.ready();
    seen = await lives(server, pods);
  });

  it('the plugin adopts them again, with those that crid created', async () => {
    await move('plugin');
    await assertUndisturbed();
  });

  it('crid stops pods that the plugin started', async () => {
    await move('crid');
    await assertUndisturbed();
    await removeManifests(kubelet, server);
    await kubelet.dispose();
    await removeAllPods(server);
    const left = await leaks(stack);
    const nothing = Object.fromEntries(Object.keys(left).map((kind) => [kind, []])) as unknown as typeof left;
    await assertLeavesNothing(stack, nothing);
  });
});
