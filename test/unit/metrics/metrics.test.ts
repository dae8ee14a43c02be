import assert from 'node:assert/strict';
import { get } from 'node:http';
import { test } from 'node:test';
import { createLogger } from '../../../src/base/log.js';
import { methodName } from '../../../src/containerd/method-names.js';
import { createMetrics } from '../../../src/metrics/metrics.js';
import { serveMetrics } from '../../../src/metrics/serve-metrics.js';
import { metricSources } from '../../../src/metrics/sources.js';
import { NO_SOURCES } from './registered.js';

const log = createLogger('error');

test('a call, a step and a plugin are counted by name, without the names of images', async () => {
  const metrics = createMetrics();
  metrics.rpc({ method: '/runtime.v1.RuntimeService/Version', code: 'OK', durationMs: 2 });
  metrics.containerdCall({ method: 'tasks.get', code: 'NOT_FOUND', durationMs: 3 });
  metrics.steps.after('pull image', 'record registry.example/busybox:latest', {
    durationMs: 4,
    error: undefined,
  });
  metrics.cniPlugin({ plugin: 'bridge', verb: 'ADD', durationMs: 5, ok: false });

  const lines = (await metrics.registry.metrics()).split('\n').filter((line) => /^crid_\w+_count\{/.test(line));
  assert.deepEqual(lines, [
    'crid_rpc_duration_seconds_count{method="Version",code="OK"} 1',
    'crid_containerd_call_duration_seconds_count{method="tasks.get",code="NOT_FOUND"} 1',
    'crid_operation_step_duration_seconds_count{operation="pull image",step="record",code="OK"} 1',
    'crid_cni_plugin_duration_seconds_count{plugin="bridge",verb="ADD",outcome="error"} 1',
  ]);
});

test('calls that wait for an event or a registry are not measured', async () => {
  const metrics = createMetrics();
  for (const path of [
    '/containerd.services.tasks.v1.Tasks/Wait',
    '/containerd.services.sandbox.v1.Controller/Wait',
    '/containerd.services.events.v1.Events/Subscribe',
    '/containerd.services.streaming.v1.Streaming/Stream',
    '/containerd.services.transfer.v1.Transfer/Transfer',
  ]) {
    metrics.containerdCall({ method: methodName(path), code: 'OK', durationMs: 3_600_000 });
  }
  assert.doesNotMatch(await metrics.registry.metrics(), /^crid_containerd_call_duration_seconds_count\{/m);
});

test('the age of operations is that of the oldest of each kind, and is never negative', async () => {
  const metrics = createMetrics();
  const ago = (kind: string, seconds: number) => ({ kind, startedAtMs: Date.now() - seconds * 1000 });
  const running = [ago('run pod sandbox', 5), ago('run pod sandbox', 90), ago('stop container', -60)];
  const modules = { operations: { list: () => running }, events: {}, stdio: {} } as unknown as Parameters<
    typeof metricSources
  >[0];
  const { oldestOperations } = metricSources(modules);
  metrics.watch({ ...NO_SOURCES, oldestOperations });
  const lines = (await metrics.registry.metrics()).split('\n');
  const ages = lines.filter((line) => line.startsWith('crid_operation_oldest_seconds{'));
  assert.deepEqual(
    ages.map((line) => line.replace(/\.\d+$/, '')),
    [
      'crid_operation_oldest_seconds{operation="run pod sandbox"} 90',
      'crid_operation_oldest_seconds{operation="stop container"} 0',
    ],
  );
});

test('only /metrics is served, and an address in use is named', async () => {
  const { registry } = createMetrics();
  const served = await serveMetrics({ address: '127.0.0.1:0', registry, log });
  const status = (path: string): Promise<number | undefined> =>
    new Promise((resolve, reject) => {
      get({ host: '127.0.0.1', port: served.port, path, agent: false }, (response) => {
        response.resume();
        resolve(response.statusCode);
      }).on('error', reject);
    });
  try {
    assert.deepEqual([await status('/metrics'), await status('/')], [200, 404]);
    await assert.rejects(serveMetrics({ address: `127.0.0.1:${served.port}`, registry, log }), {
      code: 'FAILED_PRECONDITION',
      message: new RegExp(`crid.metrics_address 127.0.0.1:${served.port}: .*EADDRINUSE`),
    });
  } finally {
    served.close();
  }
});
