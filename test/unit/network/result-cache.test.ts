import assert from 'node:assert/strict';
import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { pino } from 'pino';
import { isCode } from '../../../src/base/errors.js';
import { mountTmpfs, unmount } from '../../../src/host/mount/mount-calls.js';
import { parseConfList } from '../../../src/network/conf-list.js';
import { createResultCache } from '../../../src/network/result-cache.js';
import { folderFor } from '../host/helpers.js';

test('a full disk is named with the file of the result that did not fit', async (t) => {
  const dir = join(folderFor(t), 'cni');
  mkdirSync(dir);
  await mountTmpfs(dir, { sizeBytes: 4096, mode: 0o755 });

  const cache = createResultCache(dir, pino({ level: 'silent' }));
  const conf = parseConfList(JSON.stringify({ cniVersion: '1.0.0', name: 'net', plugins: [{ type: 'bridge' }] }));
  const target = { containerId: 'pod1', netns: '', ifName: 'eth0', args: [], capabilityArgs: {} };
  await assert
    .rejects(cache.write(conf, target, { text: 'x'.repeat(8192) }), (thrown) => {
      assert.ok(isCode(thrown, 'RESOURCE_EXHAUSTED'), String(thrown));
      assert.match(
        thrown.message,
        new RegExp(`^cache result of network net: write ${dir}/results/net-pod1-eth0: ENOSPC`),
      );
      return true;
    })
    .finally(() => unmount(dir, { detach: true }));
});
