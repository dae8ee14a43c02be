import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Mount } from '../../../generated/nri/v1alpha1/api.js';
import { applyMounts } from '../../../src/nri/adjust/apply-mounts.js';
import { richSpec } from './adjustments.js';

test('the pseudo-option "relabel" of a mount does not reach the OCI runtime', () => {
  const mount = (options: string[]): Mount =>
    Mount.fromPartial({ destination: `/${options.length}`, type: 'bind', source: '/host', options });
  const { mounts } = applyMounts(richSpec(), [mount(['rbind', 'relabel']), mount(['relabel'])]);
  const added = mounts.filter(({ source }) => source === '/host').map(({ options }) => options);
  assert.deepEqual(added, [undefined, ['rbind']]);
});
