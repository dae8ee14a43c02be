import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { createContainerd } from '../../../src/containerd/client.js';
import { hostPlatform } from '../../../src/containerd/platform.js';
import { startCrid, type Crid } from '../../harness/crid.js';
import { assertLeavesNothing, leaks } from '../../harness/leaks.js';
import { pullImage, removeAllPods, runPod, type RunningPod } from '../../harness/pod.js';
import { startStack, testStack, type Stack } from '../../harness/test-stack.js';
import { until } from '../../../tools/stack/wait.js';
import { limitMs } from '../../harness/slowness.js';
import { log } from '../containerd/lab.js';
import { testImage } from '../spec/rules.js';

const MiB = 1024 * 1024;

/** A stack whose images and containers use another snapshotter than overlayfs, which containerd unpacks into. */
function startOn(snapshotter: string, settings = '') {
  let made: { stack: Stack; crid: Crid; pod: RunningPod } | undefined;
  const parts = (): NonNullable<typeof made> => {
    assert.ok(made, 'the stack has been started');
    return made;
  };
  before(async () => {
    const { registry } = await testStack();
    const { os, architecture } = hostPlatform();
    const extraToml = `[[plugins."io.containerd.transfer.v1.local".unpack_config]]
platform = "${os}/${architecture}"
snapshotter = "${snapshotter}"
${settings}`;
    const stack = await startStack({ registryUrl: registry.url, extraToml });
    const crid = await startCrid(stack, { config: { images: { snapshotter } } });
    await pullImage(crid);
    await Promise.all(['user-name', 'volumes'].map((name) => crid.images.pullImage({ image: testImage(name) })));
    made = { stack, crid, pod: await runPod(crid, stack) };
  });
  after(async () => {
    const { stack, crid } = parts();
    await removeAllPods(crid);
    await crid.stop();
    crid.close();
    await stack.dispose();
  });
  return parts;
}

const SNAPSHOTTERS = [{ name: 'native' }];

for (const { name } of SNAPSHOTTERS) {
  describe(`snapshotter ${name}`, () => {
    const parts = startOn(name);
    const output = async (id: string, script: string): Promise<string> => {
      const { stdout, stderr } = await parts().pod.exec(id, ['sh', '-c', script]);
      return `${stdout}${stderr}`.trim();
    };

    test('containerd unpacks for it, and the start has no warning', async () => {
      const lines = await parts().crid.logLines();
      assert.deepEqual(
        lines.filter((line) => line['msg'] === 'image unpacked' || line['snapshotter']).map(({ msg }) => msg),
        lines.filter((line) => line['msg'] === 'image pulled').map(({ msg }) => msg),
      );
    });

    test('a pod lives and leaves nothing behind', async () => {
      const { stack, crid } = parts();
      const idle = await leaks(stack);
      const pod = await runPod(crid, stack);
      const id = await pod.run();
      assert.equal((await pod.exec(id, ['echo', 'up'])).stdout, 'up\n');
      await crid.runtime.stopContainer({ container_id: id, timeout: 10n });
      assert.equal((await crid.runtime.containerStatus({ container_id: id })).status?.exit_code, 0);
      await pod.remove();
      await assertLeavesNothing(stack, idle);
    });

    test("the image's USER is looked up by name", async () => {
      const { pod } = parts();
      assert.equal(await output(await pod.run({ image: testImage('user-name') }), 'id -un; id -u'), 'www-data\n33');
    });

    test('a VOLUME has what the image has there, and an image is a volume', async () => {
      const { pod } = parts();
      const id = await pod.run({
        image: testImage('volumes'),
        mounts: [{ container_path: '/image', image: testImage('volumes'), readonly: true }],
      });
      assert.equal(
        await output(id, 'cat /data/file; stat -c "%a %u" /data; ls -ld /empty | cut -c1-10'),
        ['from the image', '750 33', 'drwxrwxrwt'].join('\n'),
      );
      assert.match(
        await output(id, 'cat /image/data/file; touch /image/new'),
        /^from the image\n.*Read-only file system/,
      );
    });

    test('the usage of the writable layer, and of the images, is measured', async () => {
      const { crid, pod } = parts();
      const id = await pod.run();
      const used = async (): Promise<number> => {
        const { stats } = await crid.runtime.containerStats({ container_id: id });
        assert.equal(stats?.writable_layer?.fs_id?.mountpoint.endsWith(`snapshotter.v1.${name}`), true);
        return Number(stats?.writable_layer?.used_bytes?.value);
      };
      const empty = await used();
      await output(id, `head -c ${4 * MiB} /dev/urandom > /file; sync`);
      // The statistics are a few seconds old.
      await until('the file counts', limitMs(60_000), async () => (await used()) >= empty + 4 * MiB || undefined);
      const {
        image_filesystems: [images],
      } = await crid.images.imageFsInfo({});
      assert.equal(images?.fs_id?.mountpoint.endsWith(`snapshotter.v1.${name}`), true);
    });

    test('a container whose image has lost its snapshots gets them again', async () => {
      const { stack, crid } = parts();
      const containerd = createContainerd({ address: stack.containerd.socket, namespace: 'k8s.io', log });
      try {
        const snapshots = containerd.snapshots(name);
        await removeAllPods(crid);
        const committed = async () => (await snapshots.list([])).filter(({ kind }) => kind === 'committed');
        // A snapshot can be removed once no other one has it as its parent.
        for (let layers = await committed(); layers.length > 0; layers = await committed()) {
          const removals = await Promise.allSettled(layers.map((layer) => snapshots.remove(layer.name)));
          assert.ok(removals.some(({ status }) => status === 'fulfilled'));
        }
        const pod = await runPod(crid, stack);
        assert.equal((await pod.exec(await pod.run(), ['echo', 'up'])).stdout, 'up\n');
      } finally {
        containerd.close();
      }
    });
  });
}
