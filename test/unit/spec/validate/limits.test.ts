import assert from 'node:assert/strict';
import { test } from 'node:test';
import { validateContainerConfig, validateSandboxConfig } from '../../../../src/spec/validate/validate.js';
import { containerConfig, podConfig, refusal } from '../inputs.js';

const PAGE_BYTES = process.arch === 'x64' ? 4096 : 65_536;
const LINE_BYTES = 32 * PAGE_BYTES - 1;
const MANY = 10_000;

const variable = (key: string, bytes: number): { key: string; value: Buffer } => ({
  key,
  value: Buffer.from('x'.repeat(bytes - key.length - 1)),
});
const envs = (list: ReturnType<typeof variable>[]): string =>
  refusal(() => validateContainerConfig(containerConfig({ envs: list })));
const numbers = Array.from({ length: MANY }, (_, index) => index);
const record = <T>(of: (index: number) => T): Record<string, T> =>
  Object.fromEntries(numbers.map((index) => [`k${index}`, of(index)]));

test('limits: one variable of the environment, at the limit and beyond', () => {
  assert.deepEqual(
    [envs([variable('A', LINE_BYTES)]), envs([variable('A', LINE_BYTES + 1)])],
    ['nothing thrown', `INVALID_ARGUMENT config.envs[0]: ${LINE_BYTES + 1} bytes, more than ${LINE_BYTES}`],
  );
});

test('limits: annotations, a label and a hostname, at the limit and beyond', () => {
  const annotation = (bytes: number): string =>
    refusal(() => validateSandboxConfig(podConfig({ annotations: { a: 'x'.repeat(bytes - 1) } })));
  const label = (bytes: number): string =>
    refusal(() => validateSandboxConfig(podConfig({ labels: { a: 'x'.repeat(bytes - 1) } })));
  const hostname = (bytes: number): string =>
    refusal(() => validateSandboxConfig(podConfig({ hostname: 'x'.repeat(bytes) })));
  assert.deepEqual(
    [annotation(524_288), annotation(524_289), label(4096), label(4097), hostname(64), hostname(65)],
    [
      'nothing thrown',
      'INVALID_ARGUMENT config.annotations: 524289 bytes in total, more than 524288',
      'nothing thrown',
      'INVALID_ARGUMENT config.labels["a"]: key and value are 4097 bytes, more than 4096',
      'nothing thrown',
      'INVALID_ARGUMENT config.hostname: longer than 64 bytes',
    ],
  );
});

test('limits: ten thousand of everything that Kubernetes does not limit are accepted', () => {
  const pod = podConfig({
    annotations: record(() => 'x'),
    labels: record(() => 'x'),
    dns_config: { searches: numbers.map((index) => `d${index}.test`), options: numbers.map((index) => `o${index}`) },
    linux: { sysctls: Object.fromEntries(numbers.map((index) => [`net.test.k${index}`, '1'])) },
  });
  const container = containerConfig({
    envs: numbers.map((index) => variable(`V${index}`, 16)),
    mounts: numbers.map((index) => ({ container_path: `/m/${index}`, host_path: '/tmp' })),
    devices: numbers.map((index) => ({ container_path: `/dev/d${index}`, host_path: '/dev/null', permissions: 'r' })),
  });
  assert.deepEqual(
    [refusal(() => validateSandboxConfig(pod)), refusal(() => validateContainerConfig(container))],
    ['nothing thrown', 'nothing thrown'],
  );
});
