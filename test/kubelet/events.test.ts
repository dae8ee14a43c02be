import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { kubeletGet } from '../harness/kubelet-api.js';
import { allTests, CONFIG } from './pods/all.js';
import { kubeletSuite, SOME_AT_ONCE } from './suite.js';

const featureGates = { EventedPLEG: true, PodAndContainerStatsFromCRI: true };

describe('pods of a kubelet that asks for events and statistics', SOME_AT_ONCE, () => {
  const suite = kubeletSuite({ config: CONFIG, featureGates });

  it('gets events', async () => {
    const pod = await suite.pod('told', { containers: [{ name: 'main' }] });
    await pod.ready();
    const metrics = await kubeletGet(suite.kubelet.url, '/metrics');
    const [, connections] = /^kubelet_evented_pleg_connection_success_count (\d+)$/m.exec(metrics) ?? [];
    assert.ok(Number(connections) > 0, `connections: ${connections}`);
  });
  allTests(suite);
});
