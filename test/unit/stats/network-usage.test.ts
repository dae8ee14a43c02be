import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { InterfaceUsage } from '../../../src/host/namespace/net-dev.js';
import { networkUsage } from '../../../src/stats/network-usage.js';

const named = (name: string): InterfaceUsage => ({
  name,
  rxBytes: 1n,
  rxErrors: 2n,
  rxPackets: 3n,
  rxDropped: 4n,
  txBytes: 5n,
  txErrors: 6n,
  txPackets: 7n,
  txDropped: 8n,
});

test('the default interface has its own field', () => {
  const usage = networkUsage([named('net1'), named('eth0')], 5n);
  assert.equal(usage?.default_interface?.name, 'eth0');
  assert.deepEqual(
    usage.interfaces.map(({ name }) => name),
    ['net1'],
  );
});

test('without the default interface there is no network usage, since a kubelet does not expect the one without the other', () => {
  assert.equal(networkUsage([named('net1')], 5n), undefined);
  assert.equal(networkUsage([], 5n), undefined);
});
