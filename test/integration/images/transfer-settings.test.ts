import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { startCrid, type Crid } from '../../harness/crid.js';
import { criClient } from '../../harness/cri-client.js';
import { testStack, type TestStack } from '../../harness/test-stack.js';
import { createContainerd } from '../../../src/containerd/client.js';
import { SYSTEMD_CGROUPS } from '../../../tools/stack/cgroup-driver.js';
import { empty, log } from '../containerd/lab.js';
import { tinyImage } from './tiny-image.js';
import { demand, REPOSITORY, startRegistry, type TinyRegistry } from './tiny-registry.js';

const NAMESPACE = 'crid-transfer-settings';

let stack: TestStack;
let tiny: TinyRegistry;
let crid: Crid;

before(async () => {
  stack = await testStack();
  tiny = await startRegistry();
  const options = { BinaryName: stack.runcPath, SystemdCgroup: SYSTEMD_CGROUPS };
  const native = { runtime_type: 'io.containerd.runc.v2', snapshotter: 'native', options };
  const registry = {
    config_path: '',
    // Nothing listens on the first endpoint.
    mirrors: { 'registry.onion:5000': { endpoint: ['http://127.0.0.1:1', tiny.host] } },
    configs: { [tiny.host]: { auth: { username: 'jo', password: 'correct-horse' } } },
  };
  crid = await startCrid(stack, {
    config: {
      crid: { namespace: NAMESPACE },
      images: { registry, image_pull_with_sync_fs: true },
      runtime: { containerd: { runtimes: { native } } },
    },
  });
});
after(async () => {
  await crid.stop();
  crid.close();
  tiny.close();
  const containerd = createContainerd({ address: stack.containerd.socket, namespace: NAMESPACE, log });
  await empty(containerd);
  containerd.close();
});

test('mirrors of an old config.toml are used, with the credentials of their hosts', async () => {
  const image = tinyImage();
  tiny.put('mirrored', image);
  tiny.guard = demand('jo', 'correct-horse');
  const pulled = await crid.images.pullImage({ image: { image: `registry.onion:5000/${REPOSITORY}:mirrored` } });
  assert.equal(pulled.image_ref, image.config.digest);
  assert.ok(tiny.requests.some((request) => request.startsWith(`GET /v2/${REPOSITORY}/blobs/`)));
});

test('crid unpacks, with a sync, where image_pull_with_sync_fs is set', async () => {
  const image = tinyImage();
  tiny.put('synced', image);
  await crid.images.pullImage({ image: { image: `registry.onion:5000/${REPOSITORY}:synced` } });
  const unpacked = (await crid.logLines()).filter(
    ({ msg, id }) => msg === 'image unpacked' && id === image.config.digest,
  );
  assert.equal(unpacked.length, 1);
});

test('the start tells of a snapshotter that containerd does not unpack for', async () => {
  const told = (await crid.logLines()).filter(({ snapshotter, level }) => snapshotter && level === 'warn');
  assert.deepEqual(
    told.map(({ msg }) => String(msg).split(' of ')[0]),
    ['snapshotter native: unpack_config'],
  );
});

test('the mirrors are written anew at each start', async () => {
  await crid.restart();
  const client = criClient(crid.socket);
  try {
    const image = tinyImage();
    tiny.put('later', image);
    const pulled = await client.images.pullImage({ image: { image: `registry.onion:5000/${REPOSITORY}:later` } });
    assert.equal(pulled.image_ref, image.config.digest);
  } finally {
    client.close();
  }
});
