import assert from 'node:assert/strict';
import { existsSync } from 'node:fs';
import { stat } from 'node:fs/promises';
import { join } from 'node:path';
import { after, afterEach, before, test } from 'node:test';
import { failure, snapshotter } from '../containerd/lab.js';
import { startImages } from './harness.js';
import { tinyImage, type TinyOptions } from './tiny-image.js';
import { REPOSITORY, startRegistry, type TinyRegistry } from './tiny-registry.js';

/** Published vulnerabilities that pulling an image can reproduce. */

const images = startImages('crid-images-advisories');
let tiny: TinyRegistry;
let count = 0;

before(async () => {
  await images.clear();
  tiny = await startRegistry();
});
afterEach(images.clear);
after(async () => {
  tiny.close();
  await images.close();
});

/** Serves the image under a unique tag. Returns its reference. */
function served(options: TinyOptions): string {
  const tag = `v${++count}`;
  tiny.put(tag, tinyImage(options));
  return `${tiny.host}/${REPOSITORY}:${tag}`;
}

test('CVE-2026-53493, GHSA-pg57-6jwg-q645: annotations of a layer do not shift the owners of its files', async () => {
  const shift = '0:100000:65536';
  const names = ['containerd.io/snapshot/uidmapping', 'containerd.io/snapshot/gidmapping'];
  const annotations = Object.fromEntries(names.map((name) => [name, shift]));
  const image = served({ layerFields: { annotations }, file: { name: 'owned', content: 'by root' } });
  const refused = await failure(images.pull(image));
  // containerd before 2.3.6 and 2.4.1 follows the URLs, and then cannot write the layer.
  if (refused !== 'no failure') {
    assert.match(refused, /^UNKNOWN .*failed to extract layer/);
    return images.assertOnly([]);
  }
  const { image: status } = await images.status(image);
  assert.ok(status);
  const snapshots = images.containerd.snapshots(snapshotter);
  const labels = (await snapshots.list([])).flatMap((snapshot) => Object.keys(snapshot.labels));
  assert.deepEqual(
    labels.filter((label) => names.includes(label)),
    [],
  );
  const chainId = images.deps.images.get(status.id)?.chainId ?? '';
  const [mount] = await snapshots.view('owners', chainId);
  try {
    const { uid, gid } = await stat(join(mount?.source ?? '', 'owned'));
    assert.deepEqual([uid, gid], [0, 0]);
  } finally {
    await snapshots.remove('owners');
  }
});

test('GHSA-8647-2jxj-p2rc: a name with ".." in a layer writes nothing outside of it', async () => {
  const name = `crid-climbed-${process.pid}`;
  for (const climbing of [`../../../../../../../../tmp/${name}`, `/../../../../../../tmp/${name}`]) {
    await failure(images.pull(served({ file: { name: climbing, content: 'out' } })));
  }
  assert.equal(existsSync(`/tmp/${name}`), false);
});

test('GHSA-hc94-p972-ch66: a reference with ".." is refused before a registry is called', async () => {
  const before = tiny.requests.length;
  const climbing = ['../other/app:v1', 'team/../../other/app:v1', '..:v1', `team/app/../app:v1`, 'team/..%2fapp:v1'];
  for (const path of climbing) {
    assert.match(await failure(images.pull(`${tiny.host}/${path}`)), /^INVALID_ARGUMENT image\.image: /);
  }
  assert.equal(tiny.requests.length, before);
});

test('GHSA-vwhp-8p66-mq4f: layers of a wrong size and truncated digests fail the pull and leave nothing behind', async () => {
  const odd: NonNullable<TinyOptions['layerFields']>[] = [
    { size: -1 },
    { size: 1 },
    { size: 2 ** 40 },
    { digest: 'sha256:12' },
    { digest: 'sha256:' },
    { digest: '' },
    { digest: `sha256:../../../../etc/passwd` },
  ];
  for (const layerFields of odd) {
    assert.notEqual(await failure(images.pull(served({ layerFields }))), 'no failure', JSON.stringify(layerFields));
    await images.assertOnly([]);
  }
  const good = served({});
  await images.pull(good);
  assert.ok((await images.status(good)).image);
});
