import assert from 'node:assert/strict';
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { bindMount, readMountInfo } from '../../../src/host/mount/mount-calls.js';
import { createImageVolumes } from '../../../src/sandboxer/image-volumes.js';
import { createMemoryContainerd } from '../../harness/memory-containerd/memory-containerd.js';
import { folderFor } from '../host/helpers.js';

test('a mount that a kill has left writable is made again; a complete one is used', async (t) => {
  const folder = folderFor(t);
  const source = join(folder, 'source');
  mkdirSync(source);
  writeFileSync(join(source, 'file'), '');
  const containerd = createMemoryContainerd().connect();
  const views: string[] = [];
  const snapshots = {
    ...containerd.snapshots('some'),
    view: (key: string) => {
      views.push(key);
      return Promise.resolve([{ type: 'bind', source, target: '', options: ['rbind', 'ro'] }]);
    },
    remove: () => Promise.resolve(),
  };
  const directories = { imageVolumes: () => join(folder, 'volumes') };
  const volumes = createImageVolumes({ containerd: { ...containerd, snapshots: () => snapshots }, directories });
  const hex = 'a'.repeat(64);
  const target = join(folder, 'volumes', hex);
  mkdirSync(target, { recursive: true });
  await bindMount(source, target);

  const mount = () =>
    volumes.mount(
      {
        ...{ podId: 'pod', snapshotter: 'some', manifest: `sha256:${hex}`, chainId: 'chain' },
        ...{ labels: {}, usernsPath: undefined },
      },
      new AbortController().signal,
    );
  const mounted = async () => {
    await mount();
    const found = (await readMountInfo()).filter(({ mountPoint }) => mountPoint === target);
    return found.map(({ id, options }) => ({
      id,
      options: options.filter((option) => /^(ro|rw|nosuid|nodev)$/.test(option)),
    }));
  };
  try {
    const first = await mounted();
    assert.deepEqual(
      first.map(({ options }) => options),
      [['ro', 'nosuid', 'nodev']],
    );
    assert.deepEqual(await mounted(), first);
    assert.deepEqual(views, [target]);
  } finally {
    await volumes.removeAll('pod', 'some');
  }
});
