import assert from 'node:assert/strict';
import { test } from 'node:test';
import { PodSandboxConfig } from '../../../generated/runtime/v1/api.js';
import type { Any } from '../../../src/containerd/containerd.js';
import {
  CONTAINER_METADATA_TYPE_URL,
  containerName,
  decodeContainerMetadata,
  decodePluginStatus,
  decodeSandboxMetadata,
  decodeStatus,
  encodeContainerMetadata,
  encodePluginStatus,
  encodeSandboxMetadata,
  encodeStatus,
  goSandboxMetadata,
  SANDBOX_METADATA_TYPE_URL,
  sandboxName,
} from '../../../src/state/stored.js';
import { CONTAINER_METADATA, CONTAINER_STATUS, SANDBOX_METADATA, withoutHtmlEscapes } from './go-samples.js';

const any = (type_url: string, text: string): Any => ({ type_url, value: Buffer.from(text) });
const text = (extension: Any): string => Buffer.from(extension.value).toString();
const withImage = (digest: string, name: string): string =>
  CONTAINER_METADATA.replace('"LogPath"', `"ImageDigest":"${digest}","ImageName":"${name}","LogPath"`);
const internal = (message: string) => ({ code: 'INTERNAL', message });

test("a sandbox of containerd's plugin is read, and written again as it was", () => {
  const metadata = decodeSandboxMetadata(any(SANDBOX_METADATA_TYPE_URL, SANDBOX_METADATA));
  const { config, cniResult, ...rest } = metadata;
  assert.deepEqual(rest, {
    id: 'aaaa',
    name: 'rich_wire-lab_5f0c-rich_3',
    netnsPath: '/var/run/netns/cni-1',
    ip: '10.0.0.2',
    additionalIps: [],
    runtimeHandler: '',
    processLabel: '',
  });
  assert.equal(sandboxName(config.metadata!), metadata.name);
  assert.deepEqual(cniResult?.Interfaces['eth0']?.IPConfigs, [{ IP: '10.0.0.2', Gateway: '10.0.0.1' }]);
  const written = encodeSandboxMetadata(metadata);
  assert.deepEqual(
    [written.type_url, text(written)],
    [SANDBOX_METADATA_TYPE_URL, withoutHtmlEscapes(SANDBOX_METADATA)],
  );
});

test("a container of containerd's plugin is read, and written again as it was", () => {
  const metadata = decodeContainerMetadata(any(CONTAINER_METADATA_TYPE_URL, CONTAINER_METADATA));
  const { config, ...rest } = metadata;
  assert.deepEqual(rest, {
    id: 'bbbb',
    name: 'box_rich_wire-lab_5f0c-rich_2',
    sandboxId: 'aaaa',
    imageRef: 'sha256:6a1c',
    imageDigest: '',
    imageName: '',
    logPath: '/var/log/pods/rich/box/2.log',
    stopSignal: '',
    processLabel: '',
  });
  const pod = { name: 'rich', namespace: 'wire-lab', uid: '5f0c-rich', attempt: 3 };
  assert.equal(containerName(config.metadata!, pod), metadata.name);
  assert.deepEqual(
    config.envs.map(({ key, value }) => [key, value.toString()]),
    [
      ['A', '1'],
      ['EMPTY', ''],
      ['UTF8', 'grüße <&> \n'],
    ],
  );
  assert.equal(text(encodeContainerMetadata(metadata)), withoutHtmlEscapes(withImage('', '')));
});

test("the digest and the name of a container's image, which containerd's plugin stores since 2.4, are kept", () => {
  const stored = withImage('sha256:7b2d', 'docker.io/library/busybox:latest');
  const metadata = decodeContainerMetadata(any(CONTAINER_METADATA_TYPE_URL, stored));
  assert.deepEqual(
    [metadata.imageRef, metadata.imageDigest, metadata.imageName],
    ['sha256:6a1c', 'sha256:7b2d', 'docker.io/library/busybox:latest'],
  );
  assert.equal(text(encodeContainerMetadata(metadata)), withoutHtmlEscapes(stored));
});

test('a sandbox on the network of the host has no result, and several addresses are kept in order', () => {
  const base = {
    ...{ id: 'i', name: 'n', config: PodSandboxConfig.fromPartial({}), netnsPath: '', ip: '', processLabel: '' },
    ...{ additionalIps: [], runtimeHandler: 'kata', cniResult: undefined },
  };
  for (const metadata of [base, { ...base, ip: '10.0.0.9', additionalIps: ['fd00::9', 'fd00::a'] }]) {
    assert.deepEqual(decodeSandboxMetadata(encodeSandboxMetadata(metadata)), metadata);
  }
  assert.deepEqual(goSandboxMetadata(base), {
    Version: 'v1',
    Metadata: {
      ...{ ID: 'i', Name: 'n', Config: {}, NetNSPath: '', IP: '', AdditionalIPs: null, RuntimeHandler: 'kata' },
      ...{ CNIResult: null, ProcessLabel: '' },
    },
  });
});

test("the status file of containerd's plugin keeps its nanoseconds", () => {
  const status = decodePluginStatus(CONTAINER_STATUS);
  const { resources, ...rest } = status;
  assert.deepEqual(rest, {
    pid: 0,
    createdAt: 1795487453932569568n,
    startedAt: 0n,
    finishedAt: 1795487453980895622n,
    exitCode: 128,
    reason: 'StartError',
    message: 'cannot use unified on cgroup v1',
  });
  assert.equal(resources?.linux?.memory_swap_limit_in_bytes, 536870912n);
  assert.equal(encodePluginStatus(status), CONTAINER_STATUS);
  assert.deepEqual(decodeStatus(encodeStatus(status)), status);
});

test('a status without resources or with a restore is kept as it is', () => {
  const status = {
    ...{ pid: 4194304, createdAt: 2n ** 63n - 1n, startedAt: 1n, finishedAt: 0n, exitCode: -1 },
    ...{ reason: '', message: '', restore: true },
  };
  assert.deepEqual(decodeStatus(encodeStatus(status)), status);
});

test('fields that a newer version has added are passed over', () => {
  const newer = CONTAINER_METADATA.replace('{"Version"', '{"Next":[1],"Version"').replace(
    '"LogPath"',
    '"X":{},"LogPath"',
  );
  const container = any(CONTAINER_METADATA_TYPE_URL, newer.replace('"stdin"', '"new_field":{"a":1},"stdin"'));
  assert.equal(decodeContainerMetadata(container).id, 'bbbb');
});

test('data of another program is refused by the name of its owner', () => {
  const sandbox = (json: string): Any => any(SANDBOX_METADATA_TYPE_URL, json);
  assert.throws(
    () => decodeSandboxMetadata(sandbox(SANDBOX_METADATA.replace('"v1"', '"v2"'))),
    internal('sandbox metadata of "aaaa": unsupported version "v2"'),
  );
  assert.throws(
    () => decodeSandboxMetadata(any('example/Other', SANDBOX_METADATA), 'aaaa'),
    internal(`"aaaa": stored as type "example/Other", want "${SANDBOX_METADATA_TYPE_URL}"`),
  );
  assert.throws(() => decodeSandboxMetadata(sandbox('{'), 'aaaa'), {
    code: 'INTERNAL',
    message: /^sandbox metadata of "aaaa": SyntaxError: /,
  });
  assert.throws(() => decodeSandboxMetadata(sandbox(SANDBOX_METADATA.replace(':9007199254740993', ':"many"'))), {
    code: 'INTERNAL',
    message: /^sandbox metadata of "aaaa": SyntaxError: .*many/,
  });
  assert.throws(
    () => decodeSandboxMetadata(sandbox('null'), 'aaaa'),
    internal('sandbox metadata of "aaaa": unsupported version "undefined"'),
  );
  assert.throws(
    () => decodePluginStatus(CONTAINER_STATUS.replace('"Pid":0', '"Pid":"x"'), 'bbbb'),
    internal('container status of "bbbb": Pid: Invalid input: expected number, received string'),
  );
  assert.throws(
    () => decodeContainerMetadata(any(CONTAINER_METADATA_TYPE_URL, '{"Version":"v1","Metadata":{"ID":"bbbb"}}')),
    { code: 'INTERNAL', message: /^container metadata of "bbbb": Metadata\.Config: / },
  );
});
