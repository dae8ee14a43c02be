import assert from 'node:assert/strict';
import { test } from 'node:test';
import { defaultConfig, defaultRuntimeHandler } from '../../../src/config/defaults.js';
import { changesBetween, keepUntilRestart } from '../../../src/config/reload.js';
import type { Config } from '../../../src/config/schema.js';

const changed = (change: (config: Config) => void): Config => {
  const config = defaultConfig();
  change(config);
  return config;
};

test('options that differ are named with both values, a named table as one, credentials without values', () => {
  const running = changed(({ images }) => {
    images.registry.headers = { 'X-Key': ['one'] };
    images.pinned_images = { sandbox: 'pause:1', old: 'old:1' };
  });
  const handler = defaultRuntimeHandler();
  const loaded = changed(({ images, runtime, crid }) => {
    images.registry.headers = { 'X-Key': ['two'] };
    images.pinned_images = { sandbox: 'pause:2' };
    runtime.containerd.runtimes['kata'] = handler;
    runtime.cni.bin_dirs = ['/a', '/b'];
    crid.listen = '/run/other.sock';
  });
  assert.deepEqual(changesBetween(running, loaded), [
    { option: 'crid.listen', old: '/run/crid/crid.sock', new: '/run/other.sock', needsRestart: true },
    { option: 'images.pinned_images.old', old: 'old:1', new: undefined, needsRestart: false },
    { option: 'images.pinned_images.sandbox', old: 'pause:1', new: 'pause:2', needsRestart: false },
    { option: 'images.registry.headers.X-Key', old: ['[redacted]'], new: ['[redacted]'], needsRestart: false },
    { option: 'runtime.cni.bin_dirs', old: ['/opt/cni/bin'], new: ['/a', '/b'], needsRestart: false },
    { option: 'runtime.containerd.runtimes.kata', old: undefined, new: handler, needsRestart: false },
  ]);
  assert.deepEqual(changesBetween(running, structuredClone(running)), []);
});

test('options that need a restart keep their values, also tables with fewer keys than before; the rest is taken', () => {
  const running = changed(({ nri }) => {
    nri.plugins = { logger: { required: true, failure_policy: 'fail', exempt_namespaces: [], request_timeout: '' } };
  });
  const loaded = changed(({ root, crid, grpc, streaming }) => {
    assert.equal(root, '/var/lib/containerd');
    grpc.address = '/run/other.sock';
    crid.traced_calls = 5;
    crid.log_level = 'debug';
    streaming.stream_server_port = '1';
    streaming.stream_idle_timeout = '1m';
  });
  const expected = structuredClone(running);
  expected.crid.log_level = 'debug';
  expected.streaming.stream_idle_timeout = '1m';
  assert.deepEqual(keepUntilRestart(running, loaded), expected);
});

test('config_path waits for the restart together with mirrors', () => {
  const mirrored = changed(({ images: { registry } }) => {
    registry.mirrors = { 'docker.io': { endpoint: ['https://mirror.test'] } };
    registry.config_path = '';
  });
  assert.deepEqual(keepUntilRestart(mirrored, defaultConfig()), mirrored);
  assert.deepEqual(
    changesBetween(mirrored, defaultConfig()).map(({ option, needsRestart }) => [option, needsRestart]),
    [
      ['images.registry.config_path', true],
      ['images.registry.mirrors."docker.io"', true],
    ],
  );
});
