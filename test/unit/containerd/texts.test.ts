import assert from 'node:assert/strict';
import { test } from 'node:test';
import { CriError } from '../../../src/base/errors.js';
import { isRead, methodName, subjectOf } from '../../../src/containerd/method-names.js';
import { hostPlatform } from '../../../src/containerd/platform.js';
import { pullError } from '../../../src/containerd/pull-errors.js';
import { redact } from '../../../src/containerd/redact.js';
import { timestampNs } from '../../../src/containerd/wire-time.js';

test('secrets are removed from a text, the rest stays', () => {
  assert.deepEqual(
    [
      'HEAD https://host:5000/v2/x/manifests/1: 401',
      'Get "https://jo:pw@host/v2/?a=b&c=d": EOF',
      'sent Authorization: Bearer abcdef123456==',
      'challenge Bearer realm="x"',
      'password hunter22 was wrong',
    ].map((text) => redact(text, ['hunter22', 'was'])),
    [
      'HEAD https://host:5000/v2/x/manifests/1: 401',
      'Get "https://[redacted]@host/v2/?[redacted]": EOF',
      'sent Authorization: Bearer [redacted]',
      'challenge Bearer realm="x"',
      'password [redacted] was wrong',
    ],
  );
});

test('the code of a pull error follows from its text, but not from the reference in it', () => {
  const code = (text: string, given: CriError['code'] = 'UNKNOWN'): string =>
    pullError(new CriError(given, `transfer.pull: ${text}`), 'host/team/401:404', []).code;
  assert.deepEqual(
    [
      code('failed to resolve host/team/401:404: surprise'),
      code('HEAD request to https://host/v2/team/403/manifests/x: 401 Unauthorized'),
      code('pull access denied, insufficient_scope: authorization failed'),
      code('dial tcp 127.0.0.1:443: connect: connection refused'),
      code('write /x: no space left on device'),
      code('401 Unauthorized', 'ABORTED'),
      // Go counts a timeout of a connection as an exceeded deadline.
      code('Head "https://host/v2/": dial tcp 10.0.0.1:443: i/o timeout', 'DEADLINE_EXCEEDED'),
      code('surprise', 'DEADLINE_EXCEEDED'),
      code('failed to extract layer (application/x sha256:1) to overlayfs as "extract-1": unexpected EOF'),
    ],
    [
      ...['UNKNOWN', 'UNAUTHENTICATED', 'PERMISSION_DENIED', 'UNAVAILABLE', 'RESOURCE_EXHAUSTED', 'ABORTED'],
      ...['UNAVAILABLE', 'DEADLINE_EXCEEDED', 'DATA_LOSS'],
    ],
  );
  assert.equal(
    pullError(new CriError('UNKNOWN', 'transfer.pull: boom'), 'host/a', []).message,
    'transfer.pull: "host/a": boom',
  );
});

test('an error that a kubelet knows has its reason as the first word, whatever is put before it', () => {
  const message = (text: string): string =>
    pullError(new CriError('UNKNOWN', `transfer.pull: ${text}`), 'host/a', []).prefixed('fetch').message;
  assert.deepEqual(
    [
      message('host/a: dial tcp 127.0.0.1:443: connect: connection refused'),
      message('host/a: unexpected status from HEAD request to https://host/v2/a: 521 Down'),
      message('image verifier bindir blocked pull of host/a with digest x for reason: 401 unauthorized'),
      message('blocking pull of host/a with digest x: image verifier bindir returned error: exit status 2'),
      message('host/a: dial unix /run/snapshotter.sock: connect: connection refused'),
      message('host/a: write layer of 512 bytes: surprise'),
    ].map((text) => text.replace(/: host.*/, '')),
    [
      'RegistryUnavailable: fetch: transfer.pull',
      'RegistryUnavailable: fetch: transfer.pull',
      'SignatureValidationFailed: fetch: transfer.pull: image verifier bindir blocked pull of host/a with digest x for reason: 401 unauthorized',
      'SignatureValidationFailed: fetch: transfer.pull: blocking pull of host/a with digest x: image verifier bindir returned error: exit status 2',
      'fetch: transfer.pull',
      'fetch: transfer.pull',
    ],
  );
});

test('methods are called as the port calls them', () => {
  assert.deepEqual(
    [
      '/containerd.services.tasks.v1.Tasks/Start',
      '/containerd.services.tasks.v1.Tasks/DeleteProcess',
      '/containerd.services.sandbox.v1.Store/Get',
      '/containerd.services.sandbox.v1.Controller/Status',
      '/containerd.services.containers.v1.Containers/ListStream',
    ].map((path) => [methodName(path), isRead(methodName(path))]),
    [
      ['tasks.start', false],
      ['tasks.deleteExec', false],
      ['sandboxes.get', true],
      ['controller.status', true],
      ['containers.list', true],
    ],
  );
});

test('the subject of a call is read from its request', () => {
  assert.deepEqual(
    [
      { container_id: 'c', exec_id: 'e' },
      { container_id: 'c', exec_id: '' },
      { snapshotter: 'overlayfs', key: 'k' },
      { container: { id: 'new' } },
      { image: { name: 'n' } },
      { filters: [] },
    ].map(subjectOf),
    ['c/e', 'c', 'k', 'new', 'n', ''],
  );
});

test('a missing time and the zero time of Go are 0n', () => {
  assert.deepEqual([undefined, { seconds: -62135596800n, nanos: 0 }, { seconds: 1n, nanos: 5 }].map(timestampNs), [
    0n,
    0n,
    1_000_000_005n,
  ]);
});

test('platforms have their OCI names', () => {
  assert.deepEqual(hostPlatform('x64'), { os: 'linux', architecture: 'amd64', variant: '' });
  assert.throws(() => hostPlatform('mips'), { code: 'UNIMPLEMENTED', message: /mips/ });
});
