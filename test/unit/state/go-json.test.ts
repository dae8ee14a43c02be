import assert from 'node:assert/strict';
import { test } from 'node:test';
import { ContainerConfig, ExecSyncResponse, PodSandboxConfig } from '../../../generated/runtime/v1/api.js';
import {
  canonicalJson,
  containerConfigFromGoJson,
  parseGoJson,
  podSandboxConfigFromGoJson,
  stringifyGoJson,
  toGoJson,
} from '../../../src/state/go-json.js';
import { CONTAINER_METADATA, SANDBOX_METADATA, withoutHtmlEscapes } from './go-samples.js';

const configText = (envelope: string): string =>
  stringifyGoJson((parseGoJson(envelope) as { Metadata: { Config: unknown } }).Metadata.Config);

test("a config that containerd's plugin stored is written again character by character", () => {
  const pod = configText(SANDBOX_METADATA);
  const container = configText(CONTAINER_METADATA);
  assert.ok(withoutHtmlEscapes(SANDBOX_METADATA).includes(pod));
  assert.deepEqual(
    [
      stringifyGoJson(toGoJson(podSandboxConfigFromGoJson(parseGoJson(pod)))),
      stringifyGoJson(toGoJson(containerConfigFromGoJson(parseGoJson(container)))),
    ],
    [pod, container],
  );
});

test('a config survives the wire after it was read from the JSON', () => {
  const pod = podSandboxConfigFromGoJson(parseGoJson(configText(SANDBOX_METADATA)));
  const container = containerConfigFromGoJson(parseGoJson(configText(CONTAINER_METADATA)));
  assert.deepEqual(
    [
      PodSandboxConfig.decode(PodSandboxConfig.encode(pod).finish()),
      ContainerConfig.decode(ContainerConfig.encode(container).finish()),
    ],
    [pod, container],
  );
  assert.equal(pod.linux?.overhead?.memory_limit_in_bytes, 9007199254740993n);
});

test('empty fields are left out, empty messages and empty elements stay, maps keep their empty values', () => {
  const config = ContainerConfig.fromPartial({
    args: ['', 'x'],
    envs: [{}, { key: 'K', value: Buffer.from('v') }],
    labels: { z: '', a: '1' },
    linux: { resources: { cpu_quota: -1n }, security_context: { run_as_user: {} } },
    CDI_devices: [{ name: 'vendor/class=0' }],
    mounts: [{ uidMappings: [{ length: 1 }] }],
    stop_signal: 9,
  });
  assert.equal(
    stringifyGoJson(toGoJson(config)),
    '{"args":["","x"],"envs":[{},{"key":"K","value":"v"}],"mounts":[{"uidMappings":[{"length":1}]}],' +
      '"labels":{"a":"1","z":""},"linux":{"resources":{"cpu_quota":-1},"security_context":{"run_as_user":{}}},' +
      '"CDI_devices":[{"name":"vendor/class=0"}],"stop_signal":9}',
  );
  assert.deepEqual(toGoJson(ExecSyncResponse.fromPartial({ stdout: Buffer.from('hi') })), { stdout: 'aGk=' });
});

test('keys named like members of every object are data', () => {
  const labels = { constructor: 'c', toString: 't' };
  const config = podSandboxConfigFromGoJson(parseGoJson(stringifyGoJson({ labels })));
  assert.deepEqual(toGoJson(config), { labels });
});

test('integers beyond 2^53 are exact in both directions', () => {
  const text = '{"max":9223372036854775807,"min":-9223372036854775808,"small":5,"float":1.5,"zero":0}';
  const value = parseGoJson(text);
  assert.deepEqual(value, { max: 2n ** 63n - 1n, min: -(2n ** 63n), small: 5, float: 1.5, zero: 0 });
  assert.equal(stringifyGoJson(value), text);
});

test('canonical JSON does not depend on the order of keys, but on that of elements', () => {
  assert.equal(canonicalJson({ b: [{ y: 1n, x: 'x' }], a: null }), canonicalJson({ a: null, b: [{ x: 'x', y: 1 }] }));
  assert.notEqual(canonicalJson([1, 2]), canonicalJson([2, 1]));
});
