import assert from 'node:assert/strict';
import { mkdtemp, rm, truncate, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { createContainerd } from '../../../src/containerd/client.js';
import type { Containerd } from '../../../src/containerd/containerd.js';
import { SYSTEMD_CGROUPS } from '../../../tools/stack/cgroup-driver.js';
import { run } from '../../../tools/stack/exec.js';
import { assertLeavesNothing, leaks } from '../../harness/leaks.js';
import { BUSYBOX, pullImage, removeAllPods, runPod, type Container } from '../../harness/pod.js';
import { startStack, testStack, type Stack } from '../../harness/test-stack.js';
import { log } from '../containerd/lab.js';
import { startFaultyCrid, type FaultyCrid } from '../recovery/faults.js';
import { testImage } from '../spec/rules.js';

/**
 * Snapshotters whose mounts only containerd's mount manager (since 2.2) can make. Those of erofs are images below an
 * overlay with templates; it needs mkfs.erofs and the kernel's erofs. Those of blockfile are files with a file system.
 */
const SNAPSHOTTERS = ['erofs', 'blockfile'];
const BLOCK_BYTES = 64 << 20;

let folder: string;
let stack: Stack;
let crid: FaultyCrid;
let containerd: Containerd;
/** Why a snapshotter cannot be tested here. */
const missing = new Map<string, string>();

const VOLUMES = testImage('volumes').image;
const GROUPS = testImage('groups').image;
const KIND = 'create container';

before(async () => {
  const { registry } = await testStack();
  folder = await mkdtemp(join(tmpdir(), 'crid-blockfile-'));
  stack = await startStack({ registryUrl: registry.url, extraToml: await snapshotterToml() });
  containerd = createContainerd({ address: stack.containerd.socket, namespace: 'k8s.io', log });
  for (const name of SNAPSHOTTERS) await findMissing(name);
  const options = { BinaryName: stack.runcPath, SystemdCgroup: SYSTEMD_CGROUPS };
  const handler = (snapshotter: string) => ({ runtime_type: 'io.containerd.runc.v2', snapshotter, options });
  const runtimes = Object.fromEntries(SNAPSHOTTERS.map((name) => [name, handler(name)]));
  crid = await startFaultyCrid(stack, { config: { runtime: { containerd: { runtimes } } } });
  for (const image of [BUSYBOX, VOLUMES, GROUPS]) await pullImage(crid, image);
});
after(async () => {
  await crid.clearFault();
  await removeAllPods(crid);
  await crid.stop();
  crid.close();
  containerd.close();
  await stack.dispose();
  await rm(folder, { recursive: true });
});

async function snapshotterToml(): Promise<string> {
  const scratch = join(folder, 'scratch');
  await writeFile(scratch, '');
  await truncate(scratch, BLOCK_BYTES);
  await run('/sbin/mkfs.ext4', ['-q', '-F', scratch]).catch((thrown: unknown) =>
    missing.set('blockfile', String(thrown)),
  );
  const help = await run('mkfs.erofs', ['--help']).catch(String);
  if (!help.includes('--tar')) missing.set('erofs', 'no mkfs.erofs that reads a tar');
  // Without such an mkfs.erofs containerd has no differ erofs, and with it in the list no Diff service at all.
  const differs = missing.has('erofs') ? ['walking'] : ['erofs', 'walking'];
  return `
[plugins."io.containerd.snapshotter.v1.blockfile"]
scratch_file = ${JSON.stringify(scratch)}
fs_type = "ext4"
mount_options = []
[plugins."io.containerd.service.v1.diff-service"]
default = ${JSON.stringify(differs)}
`;
}

async function findMissing(snapshotter: string): Promise<void> {
  const filter = `type==io.containerd.snapshotter.v1,id==${snapshotter}`;
  const [plugin = { initError: `this containerd has no snapshotter ${snapshotter}` }] =
    await containerd.introspection.plugins([filter]);
  if (plugin.initError !== '') missing.set(snapshotter, plugin.initError);
  await containerd.mounts.list().catch((thrown: unknown) => missing.set(snapshotter, String(thrown)));
}

async function read(snapshotter: string, container: Container, ...command: string[]): Promise<string> {
  const pod = await runPod(crid, stack, {}, snapshotter);
  const id = await pod.run(container);
  const { stdout } = await pod.exec(id, command);
  await pod.remove();
  return stdout;
}

for (const snapshotter of SNAPSHOTTERS) {
  test(`on ${snapshotter}, a user is found by its name and has its groups`, async (t) => {
    if (missing.has(snapshotter)) return t.skip(missing.get(snapshotter));
    const before = await leaks(stack);
    assert.equal(
      await read(snapshotter, { image: { image: GROUPS } }, 'id'),
      'uid=1000(app) gid=2000(app) groups=2000(app),3000(friends)\n',
    );
    await assertLeavesNothing(stack, before);
    assert.deepEqual(await containerd.mounts.list(), []);
  });

  test(`on ${snapshotter}, a VOLUME begins with the files of the image`, async (t) => {
    if (missing.has(snapshotter)) return t.skip(missing.get(snapshotter));
    assert.equal(await read(snapshotter, { image: { image: VOLUMES } }, 'cat', '/data/file'), 'from the image\n');
    assert.deepEqual(await containerd.mounts.list(), []);
  });

  test(`on ${snapshotter}, an image is mounted as a volume, with a sub path`, async (t) => {
    if (missing.has(snapshotter)) return t.skip(missing.get(snapshotter));
    const before = await leaks(stack);
    const volume = (container_path: string, image_sub_path: string) => ({
      container_path,
      image: { image: VOLUMES },
      image_sub_path,
      readonly: true,
    });
    const mounts = [volume('/whole', ''), volume('/part', 'data')];
    assert.equal(
      await read(
        snapshotter,
        { mounts },
        'sh',
        '-c',
        'cat /whole/data/file /part/file; touch /part/new 2>&1 | cut -d: -f3',
      ),
      'from the image\nfrom the image\n Read-only file system\n',
    );
    await assertLeavesNothing(stack, before);
  });

  test(`a kill while a rootfs on ${snapshotter} is read leaves nothing`, async (t) => {
    if (missing.has(snapshotter)) return t.skip(missing.get(snapshotter));
    const before = await leaks(stack);
    const pod = await runPod(crid, stack, {}, snapshotter);
    const request = { name: `crid-${pod.id}-left`, labels: {}, temporary: true };
    // As a kill between the activation and its end leaves it.
    const key = 'left-by-a-kill';
    const parent = await containerd.snapshots(snapshotter).stat(pod.id);
    const mounts = await containerd.snapshots(snapshotter).view(key, parent.parent, {}, { lease: pod.id });
    await containerd.mounts.activate({ ...request, mounts }, { lease: pod.id });
    await crid.setFault(`${KIND}/read rootfs:after=kill`);
    await assert.rejects(pod.create({ image: { image: GROUPS } }));
    await crid.clearFault();
    await crid.start();
    await containerd.snapshots(snapshotter).remove(key);
    await pod.remove();
    await assertLeavesNothing(stack, before);
    assert.deepEqual(await containerd.mounts.list(), []);
  });
}
