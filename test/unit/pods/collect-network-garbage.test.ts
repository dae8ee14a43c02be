import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { KnownPods, Network } from '../../../src/network/network.js';
import { createOperations } from '../../../src/operation/operation.js';
import { collectNetworkGarbage } from '../../../src/pods/collect-network-garbage.js';
import type { Pod } from '../../../src/state/records.js';
import { createState } from '../../../src/state/state.js';
import { createMemoryContainerd } from '../../harness/memory-containerd/memory-containerd.js';
import { until } from '../../harness/memory-node/memory-crid.js';
import { silent } from '../containerd/fake-containerd.js';
import { pod } from '../stats/records.js';

test('garbage is collected after the recovery, with the pods whose network has not been deleted', async () => {
  const state = createState(createMemoryContainerd().connect());
  const put = (id: string, more: Partial<Pod>): void => state.pods.put(pod(id, { netnsPath: '/netns', ...more }));
  const stopped = (released: boolean): Partial<Pod> => ({ state: { phase: 'not-ready', released, failedDetaches: 0 } });
  const inside = { IPConfigs: null, Mac: '', Sandbox: '/netns' };
  const Interfaces = { eth0: inside, eth1: inside, veth1: { ...inside, Sandbox: '' } };
  const attachment = { ips: [], result: { Interfaces, DNS: null, Routes: null } };
  put('ready', { state: { phase: 'ready', pid: 7 }, network: attachment });
  put('on-the-host', { netnsPath: '' });
  put('stopped', stopped(false));
  put('released', stopped(true));
  state.starting.add('starting');
  state.claims.add({ id: 'unreadable', name: '', error: '' });
  const given: KnownPods[] = [];
  const collect = (pods: KnownPods): Promise<boolean> => {
    given.push(pods);
    return given.length === 1 ? Promise.reject(new Error('broken')) : Promise.resolve(true);
  };
  const network = { collectGarbage: collect } as unknown as Network;
  const log = silent;
  let recover = (): void => undefined;
  const recovered = new Promise<void>((resolve) => (recover = resolve));
  const close = collectNetworkGarbage(
    { log, operations: createOperations({ log }), state },
    () => [network],
    recovered,
  );
  try {
    await new Promise((resolve) => setTimeout(resolve, 20));
    assert.equal(given.length, 0);
    recover();
    await until('garbage is collected', () => given.length === 1);
    assert.deepEqual(given[0]?.attached(), [
      { id: 'ready', interfaces: ['eth0', 'eth1'] },
      { id: 'stopped', interfaces: [] },
      { id: 'starting', interfaces: [] },
    ]);
    const ids = ['ready', 'starting', 'on-the-host', 'stopped', 'released', 'unreadable', 'unknown'];
    assert.deepEqual(
      ids.filter((id) => given[0]?.mayBeAttached(id)),
      ['ready', 'starting', 'stopped', 'unreadable'],
    );
  } finally {
    close();
  }
});
