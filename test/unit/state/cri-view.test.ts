import assert from 'node:assert/strict';
import { test } from 'node:test';
import { containerStatusesOf } from '../../../src/state/cri-view.js';
import { container } from '../stats/records.js';

test('the newest container of a pod comes first, also among those of one millisecond', () => {
  const [early, late] = [1_000_000n, 2_000_000n];
  const containers = [
    container('late', 'pod', { createdAtNs: late }),
    container('first', 'pod', { createdAtNs: early }),
    container('second', 'pod', { createdAtNs: early }),
  ];
  const statuses = containerStatusesOf(containers, { get: () => undefined });
  assert.deepEqual(
    statuses.map(({ id }) => id),
    ['late', 'second', 'first'],
  );
});
