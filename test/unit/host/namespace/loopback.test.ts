import assert from 'node:assert/strict';
import { mkdtemp, rm } from 'node:fs/promises';
import { networkInterfaces, tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { bringUpLoopback } from '../../../../src/host/namespace/loopback.js';
import { inNetns, removeNetns } from '../../../../src/host/namespace/netns.js';
import { pinNamespaces } from '../../../../src/host/namespace/pin-namespaces.js';

test('lo comes up in the namespace that is named, twice as well as once', async () => {
  const dir = await mkdtemp(join(tmpdir(), 'crid-lo-'));
  const path = join(dir, 'netns');
  try {
    await pinNamespaces({ paths: { net: path } });
    const up = (): boolean => inNetns(path, () => networkInterfaces()['lo'] !== undefined);
    const before = up();
    bringUpLoopback(path);
    bringUpLoopback(path);
    assert.deepEqual({ before, after: up() }, { before: false, after: true });
  } finally {
    await removeNetns(path);
    await rm(dir, { recursive: true });
  }
});
