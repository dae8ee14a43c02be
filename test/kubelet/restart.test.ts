import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { ContainerState } from '../../generated/runtime/v1/api.js';
import { image } from '../../tools/stack/image-parts.js';
import { layer, pushImage } from '../../tools/stack/image-push.js';
import { until } from '../../tools/stack/wait.js';
import { parseEvents, parseLog } from '../harness/kubelet-log.js';
import { limitMs } from '../harness/slowness.js';
import { startStack, type Stack } from '../harness/test-stack.js';
import { lives } from './lives.js';
import { IMAGE, STAY, type PodSpec } from './manifest.js';
import type { PodHandle } from './pod-handle.js';
import { kubeletSuite } from './suite.js';

const KILLS = 20;
const LONGEST_PAUSE_MS = 1500;
const AWAY_MS = 3000;
const AGAIN_LIMIT_MS = 60_000;
const GC_LIMIT_MS = 60_000;

/** Long probe timeouts for a busy host. An error of crid fails at once nevertheless. */
const PATIENT = { periodSeconds: 1, failureThreshold: 1, timeoutSeconds: 60 };

/** Pods that run while crid, containerd and the kubelet are restarted. */
const RUNNING: Readonly<Record<string, PodSpec>> = {
  probed: {
    containers: [
      {
        name: 'main',
        livenessProbe: { exec: { command: ['true'] }, ...PATIENT },
        readinessProbe: { exec: { command: ['test', '-d', '/tmp'] }, ...PATIENT },
      },
    ],
  },
  sidecar: { initContainers: [{ name: 'side', restartPolicy: 'Always' }], containers: [{ name: 'main' }] },
  writer: { containers: [{ name: 'main', script: `trap "exit 0" TERM; while :; do echo more; sleep 0.1; done` }] },
  several: { shareProcessNamespace: true, containers: [{ name: 'a' }, { name: 'b' }, { name: 'c', script: STAY }] },
};

describe('restarts under a kubelet', { timeout: limitMs(900_000) }, () => {
  let stack: Stack;
  const suite = kubeletSuite({
    stack: async () => (stack = await startStack()),
    expected: [
      {
        pattern: /code = Unavailable|code = Internal desc = (stream terminated|transport)|error reading from server/,
        reason: 'crid is killed, or containerd is away, while calls are under way',
      },
      {
        pattern: /^"Skipping pod synchronization" err="container runtime not ready: .* reason:ContainerdNotReachable /,
        reason: 'containerd is away for a while',
      },
    ],
  });
  const pods: PodHandle[] = [];

  it('pods run', async () => {
    for (const [name, spec] of Object.entries(RUNNING)) pods.push(await suite.pod(name, spec));
    for (const pod of pods) await pod.ready();
  });

  it(`pods survive ${KILLS} times kill -9 of crid, and others are created meanwhile`, async (t) => {
    const before = await lives(suite.crid, pods);
    const tookMs: number[] = [];
    for (let kill = 1; kill <= KILLS; kill++) {
      const pod = await suite.pod(`made-${kill}`, { containers: [{ name: 'main' }] });
      await sleep((LONGEST_PAUSE_MS * (kill % 7)) / 6);
      await suite.crid.kill9();
      await suite.crid.start();
      const startedMs = performance.now();
      await pod.ready();
      tookMs.push(Math.round(performance.now() - startedMs));
    }
    t.diagnostic(`from crid's start to the new pod's readiness, in ms: ${tookMs.join(' ')}`);
    assert.ok(Math.max(...tookMs) < limitMs(AGAIN_LIMIT_MS), tookMs.join(' '));
    assert.deepEqual(await lives(suite.crid, pods), before);
    await assertUndisturbed();
    // The kubelet stops syncing pods if it considers the runtime down.
    const idle = parseLog(await suite.kubelet.log()).filter(
      ({ text }) =>
        text.startsWith('"Skipping pod synchronization"') && !text.includes('status check may not have completed yet'),
    );
    assert.deepEqual(idle, []);
  });

  it('pods survive a restart of containerd', async () => {
    const before = await lives(suite.crid, pods);
    await stack.containerd.kill();
    const pod = await suite.pod('made-without-containerd', { containers: [{ name: 'main' }] });
    await sleep(AWAY_MS);
    await stack.containerd.start();
    await pod.ready();
    assert.deepEqual(await lives(suite.crid, pods), before);
    await assertUndisturbed();
  });

  it('pods survive a restart of the kubelet, which then removes unused images', async () => {
    const unused = `${suite.registry.host}/crid-test/unused:latest`;
    const file = layer([{ name: 'unused', body: Buffer.from('unused\n') }]);
    await pushImage(suite.registry.url, image('crid-test/unused', ['latest'], [file], {}));
    await suite.crid.images.pullImage({ image: { image: unused } });
    const before = await lives(suite.crid, pods);
    await suite.kubelet.stop();
    // The kubelet collects images when it starts and then every five minutes. With these ages, every unused image is
    // too old.
    await suite.kubelet.start({ imageMinimumGCAge: '1ns', imageMaximumGCAge: '2ns' });
    await until('the unused image is gone', limitMs(GC_LIMIT_MS), async () => {
      const { image: found } = await suite.crid.images.imageStatus({ image: { image: unused } });
      return found ? undefined : true;
    });
    for (const kept of [IMAGE, 'registry.k8s.io/pause:3.10']) {
      const { image: found } = await suite.crid.images.imageStatus({ image: { image: kept } });
      assert.ok(found, kept);
    }
    for (const pod of pods) await pod.ready();
    assert.deepEqual(await lives(suite.crid, pods), before);
    await assertUndisturbed();
  });

  /** Asserts that no container has ended and that no pod has a new sandbox. */
  async function assertUndisturbed(): Promise<void> {
    const { containers } = await suite.crid.runtime.listContainers({});
    const ended = containers.filter(({ state }) => state === ContainerState.CONTAINER_EXITED);
    assert.deepEqual(
      ended.map(({ labels }) => labels['io.kubernetes.pod.name']),
      [],
    );
    const log = await suite.kubelet.log();
    const changed = parseEvents(log).filter(({ reason }) => reason === 'SandboxChanged');
    assert.deepEqual(changed, []);
    const sandboxes = (await suite.crid.runtime.listPodSandbox({})).items;
    assert.equal(new Set(sandboxes.map(({ metadata }) => metadata?.uid)).size, sandboxes.length);
  }
});
