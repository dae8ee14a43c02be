import assert from 'node:assert/strict';
import { test } from 'node:test';
import { ContainerConfig, PodSandboxConfig } from '../../../generated/runtime/v1/api.js';
import { CriError } from '../../../src/base/errors.js';
import { checkConfigSize, MAX_CONFIG_BYTES } from '../../../src/state/config-size.js';
import { canonicalJson, toGoJson } from '../../../src/state/go-json.js';

const jsonOf = (config: object): string => canonicalJson(toGoJson(config));

function refusal(config: object): string {
  try {
    checkConfigSize(config, jsonOf(config));
    return 'nothing thrown';
  } catch (thrown) {
    const { code, message } = CriError.from(thrown);
    return `${code} ${message}`;
  }
}

const withEnv = (value: string): ContainerConfig =>
  ContainerConfig.fromPartial({
    metadata: { name: 'main' },
    annotations: { note: 'x'.repeat(1000) },
    envs: [{ key: 'A', value: Buffer.from(value) }],
  });

test('a config is accepted up to its limit as JSON, where U+0001 has six bytes; beyond it the largest field is named', () => {
  const others = jsonOf(withEnv('')).length;
  const room = MAX_CONFIG_BYTES - others;
  // JSON omits `"value":""` when it is empty.
  const controls = Math.floor((room - ',"value":""'.length) / 6);
  const rest = 'x'.repeat(room - ',"value":""'.length - controls * 6);
  const full = withEnv('\u0001'.repeat(controls) + rest);
  const beyond = withEnv(`${'\u0001'.repeat(controls)}${rest}x`);
  assert.equal(jsonOf(full).length, MAX_CONFIG_BYTES);
  assert.equal(refusal(full), 'nothing thrown');
  assert.match(
    refusal(beyond),
    /^INVALID_ARGUMENT config\.envs: 419\d{4} bytes as JSON; the whole config has 4194305, and may have 4194304 at most$/,
  );
});

test('a field within messages is named; lists, maps and a config without a large field are named as a whole', () => {
  const text = 'x'.repeat(MAX_CONFIG_BYTES);
  const half = 'x'.repeat(MAX_CONFIG_BYTES / 3);
  const refusals = [
    ContainerConfig.fromPartial({ linux: { security_context: { masked_paths: [text] } } }),
    ContainerConfig.fromPartial({ mounts: [{ host_path: text }] }),
    ContainerConfig.fromPartial({ args: [half], command: [half], labels: { a: half } }),
    PodSandboxConfig.fromPartial({ annotations: { a: text } }),
    PodSandboxConfig.fromPartial({ linux: { sysctls: { a: text } } }),
    PodSandboxConfig.fromPartial({ dns_config: { searches: [text] } }),
  ].map((config) => /^INVALID_ARGUMENT ([a-z._]+):/.exec(refusal(config))?.[1]);
  assert.deepEqual(refusals, [
    'config.linux.security_context.masked_paths',
    'config.mounts',
    'config',
    'config.annotations',
    'config.linux.sysctls',
    'config.dns_config.searches',
  ]);
});
