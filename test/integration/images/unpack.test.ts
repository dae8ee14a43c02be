import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { Metadata, createClientFactory } from 'nice-grpc';
import { ContentDefinition } from '../../../generated/containerd/services/content/v1/content.js';
import { createContainerd } from '../../../src/containerd/client.js';
import type { Containerd } from '../../../src/containerd/containerd.js';
import { readImage } from '../../../src/state/image-content.js';
import { readLayers } from '../../../src/state/image-layers.js';
import { SYSTEMD_CGROUPS } from '../../../tools/stack/cgroup-driver.js';
import { openChannel } from '../../harness/cri-client.js';
import { assertLeavesNothing, leaks } from '../../harness/leaks.js';
import { BUSYBOX, containerConfig, pullImage, removeAllPods, runPod, type RunningPod } from '../../harness/pod.js';
import { testStack, type TestStack } from '../../harness/test-stack.js';
import { empty, log } from '../containerd/lab.js';
import { startFaultyCrid, stepsOf, type FaultyCrid } from '../recovery/faults.js';
import { failureOf } from '../rpc/suite.js';

/** A separate namespace, because this test deletes snapshots and content. */
const NAMESPACE = 'crid-unpack';
const PAUSE = 'registry.k8s.io/pause:3.10';
const KIND = 'unpack image';

let stack: TestStack;
let crid: FaultyCrid;
let containerd: Containerd;

before(async () => {
  stack = await testStack();
  const options = { BinaryName: stack.runcPath, SystemdCgroup: SYSTEMD_CGROUPS };
  const native = { runtime_type: 'io.containerd.runc.v2', snapshotter: 'native', options };
  const config = { crid: { namespace: NAMESPACE }, runtime: { containerd: { runtimes: { native } } } };
  crid = await startFaultyCrid(stack, { config });
  containerd = createContainerd({ address: stack.containerd.socket, namespace: NAMESPACE, log });
  await pullImage(crid);
});
after(async () => {
  await crid.clearFault();
  await removeAllPods(crid);
  await crid.stop();
  for (const image of [BUSYBOX, PAUSE]) await loseSnapshots(image, 'native');
  await empty(containerd);
  containerd.close();
});

async function layersOf(image: string) {
  const { content, images } = containerd;
  const { manifest, config } = await readImage(content, (await images.get(image)).target);
  const wanted = { manifest, diffIds: config.rootfs?.diff_ids ?? [] };
  return readLayers(content, wanted, new AbortController().signal);
}

async function loseSnapshots(image: string, snapshotter = 'overlayfs'): Promise<void> {
  for (const { chainId } of (await layersOf(image)).reverse()) await containerd.snapshots(snapshotter).remove(chainId);
}

async function loseLayers(image: string): Promise<void> {
  const channel = openChannel(stack.containerd.socket);
  try {
    const client = createClientFactory().create(ContentDefinition, channel);
    const metadata = Metadata({ 'containerd-namespace': NAMESPACE });
    for (const { blob } of await layersOf(image)) await client.delete({ digest: blob.digest }, { metadata });
  } finally {
    channel.close();
  }
}

const isPresent = async (image: string): Promise<boolean> =>
  (await crid.images.imageStatus({ image: { image } })).image !== undefined;

/** Returns how often crid has logged this message for the image. */
const told = async (msg: string, image: string): Promise<number> =>
  (await crid.logLines()).filter((line) => line['msg'] === msg && line['image'] === image).length;

async function assertRuns(pod: RunningPod, id: string): Promise<void> {
  await crid.runtime.startContainer({ container_id: id });
  assert.equal((await pod.exec(id, ['echo', 'up'])).stdout, 'up\n');
  await crid.runtime.removeContainer({ container_id: id });
}

test('a handler whose snapshotter containerd does not unpack into runs an image of another pull', async () => {
  const pod = await runPod(crid, stack, {}, 'native');
  await assertRuns(pod, await pod.create());
  await pod.remove();
  for (const image of [BUSYBOX, PAUSE]) {
    const chainId = (await layersOf(image)).at(-1)?.chainId ?? '';
    assert.equal((await containerd.snapshots('native').stat(chainId)).kind, 'committed');
  }
});

test('an image is pulled for a snapshotter that containerd does not unpack into', async () => {
  const image = { image: BUSYBOX, runtime_handler: 'native' };
  await crid.images.removeImage({ image });
  await crid.images.pullImage({ image });
  const pod = await runPod(crid, stack, {}, 'native');
  await assertRuns(pod, await pod.create());
  await pod.remove();
  await pullImage(crid);
});

test('an image without its snapshots is unpacked once for all that need it', async () => {
  const pod = await runPod(crid, stack);
  const before = await told('image unpacked', BUSYBOX);
  await loseSnapshots(BUSYBOX);
  const ids = await Promise.all([pod.create(), pod.create(), pod.create()]);
  assert.equal(await told('image unpacked', BUSYBOX), before + 1);
  for (const id of ids) await assertRuns(pod, id);

  await loseSnapshots(BUSYBOX);
  const mounts = [{ container_path: '/image', image: { image: BUSYBOX }, readonly: true }];
  await assertRuns(pod, await pod.create({ mounts }));
  assert.equal(await told('image unpacked', BUSYBOX), before + 2);
  await pod.remove();
});

test('a pause image without its snapshots is unpacked instead of pulled', async () => {
  const counts = (): Promise<number[]> => Promise.all([told('image unpacked', PAUSE), told('image pulled', PAUSE)]);
  const [unpacked = 0, pulled = 0] = await counts();
  await loseSnapshots(PAUSE);
  await (await runPod(crid, stack)).remove();
  assert.deepEqual(await counts(), [unpacked + 1, pulled]);
});

test('an image without its layers is not present, and runs once it has been pulled', async () => {
  for (const [handler, snapshotter] of [
    ['', 'overlayfs'],
    ['native', 'native'],
  ] as const) {
    const pod = await runPod(crid, stack, {}, handler);
    await loseSnapshots(BUSYBOX, snapshotter);
    await loseLayers(BUSYBOX);
    assert.equal(await isPresent(BUSYBOX), true);
    const { code, message } = await failureOf(pod.create());
    assert.match(
      `${code} ${message}`,
      /^NOT_FOUND .*busybox:latest.* layer sha256:[0-9a-f]{64} .*pull the image again$/,
    );
    assert.equal(await isPresent(BUSYBOX), false);
    // Like a kubelet, pull without a runtime handler.
    await pullImage(crid);
    assert.equal(await isPresent(BUSYBOX), true);
    await assertRuns(pod, await pod.create());
    await pod.remove();
  }
});

test(
  'kill -9 after each step of an unpacking leaves nothing, and the next create unpacks',
  { timeout: 300_000 },
  async () => {
    const pod = await runPod(crid, stack);
    const idle = await leaks(stack, NAMESPACE);
    const request = {
      pod_sandbox_id: pod.id,
      config: containerConfig(),
      sandbox_config: pod.config,
    };
    const create = async (): Promise<string> => (await crid.runtime.createContainer(request)).container_id;
    const remove = async (id: string): Promise<void> => void (await crid.runtime.removeContainer({ container_id: id }));
    const steps = await stepsOf(crid, KIND, async () => {
      await loseSnapshots(BUSYBOX);
      await remove(await create());
    });
    for (const step of steps) {
      await loseSnapshots(BUSYBOX);
      await crid.setFault(`${KIND}/${step}:after=kill`);
      await assert.rejects(create);
      await crid.revive();
      await assertLeavesNothing(stack, idle, NAMESPACE);
      await assertRuns(pod, await create());
    }
    await pod.remove();
  },
);
