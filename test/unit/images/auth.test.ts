import assert from 'node:assert/strict';
import { test } from 'node:test';
import { AuthConfig } from '../../../generated/runtime/v1/api.js';
import { credentialsFor, fingerprintOf } from '../../../src/images/auth.js';

const NONE = { configs: {}, auths: {} };
const JO = { username: 'jo', password: 'secret' };
const auth = (fields: Partial<AuthConfig>): AuthConfig => AuthConfig.fromPartial(fields);
const asked = (of: string | readonly string[], fields: Partial<AuthConfig>, hosts: readonly string[]): unknown[] =>
  hosts.map((host) => credentialsFor(auth(fields), NONE)?.(host, [of].flat()));

test('credentials are for the registry of the reference and its mirrors, or the one that server_address names', () => {
  assert.deepEqual(asked('a.io', JO, ['a.io', 'b.io', 'a.io:444']), [JO, undefined, undefined]);
  assert.deepEqual(asked('docker.io', JO, ['registry-1.docker.io', 'index.docker.io', 'b.io']), [JO, JO, undefined]);
  const mirrored = ['a.io', 'https://Mirror.io:5000/path', 'http://me@10.0.0.1'];
  const mirrors = ['a.io', 'mirror.io:5000', '10.0.0.1', 'mirror.io', 'redirect.io'];
  assert.deepEqual(asked(mirrored, JO, mirrors), [JO, JO, JO, undefined, undefined]);
  const own = { ...JO, server_address: 'a.io' };
  assert.deepEqual(asked(mirrored, own, mirrors), [JO, undefined, undefined, undefined, undefined]);
  const named = { ...JO, server_address: 'https://B.io:5000/v2/?x=1' };
  assert.deepEqual(asked('a.io', named, ['a.io', 'b.io', 'b.io:5000']), [undefined, undefined, JO]);
  assert.deepEqual(asked('a.io', { ...JO, server_address: 'b.io' }, ['a.io', 'b.io']), [undefined, JO]);
  const hub = { ...JO, server_address: 'https://index.docker.io/v1/' };
  assert.deepEqual(asked('docker.io', hub, ['registry-1.docker.io']), [JO]);
});

test('credentials are accepted in every form', () => {
  const base64 = Buffer.from('jo:se:cret\0\0').toString('base64');
  assert.deepEqual(
    [{ auth: base64 }, { identity_token: 'id' }, { ...JO, registry_token: 'unused' }, {}].map((fields) =>
      asked('a.io', fields, ['a.io']),
    ),
    [[{ username: 'jo', password: 'se:cret' }], [{ identityToken: 'id' }], [JO], [undefined]],
  );
});

test('a registry token is refused without showing it', () => {
  assert.throws(() => credentialsFor(auth({ registry_token: 'bearer' }), NONE), {
    code: 'INVALID_ARGUMENT',
    message: /^auth\.registry_token: not supported(?!.*bearer)/,
  });
});

test('credentials that are not base64 of user:password are refused without being shown', () => {
  for (const value of ['not base64!', Buffer.from('no colon').toString('base64')]) {
    assert.throws(() => credentialsFor(auth({ auth: value }), NONE), {
      code: 'INVALID_ARGUMENT',
      message: 'auth.auth: expected base64 of user:password',
    });
  }
});

test('configured credentials are used for pulls without credentials, for each host', () => {
  const empty = { username: '', password: '', auth: '', identitytoken: '' };
  const configs = { 'a.io': { auth: { ...empty, ...JO } } };
  const auths = { 'https://docker.io/v1/': { ...empty, identitytoken: 'hub' } };
  const configured = credentialsFor(undefined, { configs, auths });
  assert.deepEqual(
    ['a.io', 'b.io', 'registry-1.docker.io'].map((host) => configured?.(host, ['a.io'])),
    [JO, undefined, { identityToken: 'hub' }],
  );
  const own = { username: 'me', password: 'mine' };
  assert.deepEqual(credentialsFor(auth(own), { configs, auths })?.('a.io', ['a.io']), own);
  assert.equal(credentialsFor(undefined, NONE), undefined);
});

test('the fingerprint differs by credentials and snapshotter, and reveals neither', () => {
  const prints = [
    fingerprintOf('overlayfs', undefined),
    fingerprintOf('overlayfs', auth(JO)),
    fingerprintOf('native', auth(JO)),
    fingerprintOf('overlayfs', auth({ ...JO, server_address: 'a.io' })),
  ];
  assert.equal(new Set(prints).size, prints.length);
  assert.equal(fingerprintOf('overlayfs', auth({})), prints[0]);
  assert.ok(prints.every((print) => /^[0-9a-f]{64}$/.test(print)));
});
