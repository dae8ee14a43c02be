import assert from 'node:assert/strict';
import { test } from 'node:test';
import { AuthConfig } from '../../../generated/runtime/v1/api.js';
import { credentialsFor, fingerprintOf } from '../../../src/images/auth.js';

const NONE = { configs: {}, auths: {} };
const JO = { username: 'jo', password: 'secret' };
const auth = (fields: Partial<AuthConfig>): AuthConfig => AuthConfig.fromPartial(fields);
const asked = (domain: string, fields: Partial<AuthConfig>, hosts: readonly string[]): unknown[] =>
  hosts.map((host) => credentialsFor({ domain }, auth(fields), NONE)?.(host));

test('credentials are for the registry of the reference, or the one that server_address names', () => {
  assert.deepEqual(asked('a.io', JO, ['a.io', 'b.io', 'a.io:444']), [JO, undefined, undefined]);
  assert.deepEqual(asked('docker.io', JO, ['registry-1.docker.io', 'index.docker.io', 'b.io']), [JO, JO, undefined]);
  const named = { ...JO, server_address: 'https://B.io:5000/v2/?x=1' };
  assert.deepEqual(asked('a.io', named, ['a.io', 'b.io', 'b.io:5000']), [undefined, undefined, JO]);
  assert.deepEqual(asked('a.io', { ...JO, server_address: 'b.io' }, ['a.io', 'b.io']), [undefined, JO]);
  const hub = { ...JO, server_address: 'https://index.docker.io/v1/' };
  assert.deepEqual(asked('docker.io', hub, ['registry-1.docker.io']), [JO]);
});

test('every form of credentials', () => {
  const base64 = Buffer.from('jo:se:cret\0\0').toString('base64');
  assert.deepEqual(
    [{ auth: base64 }, { identity_token: 'id' }, { registry_token: 'bearer' }, {}].map((fields) =>
      asked('a.io', fields, ['a.io']),
    ),
    [[{ username: 'jo', password: 'se:cret' }], [{ identityToken: 'id' }], [{ registryToken: 'bearer' }], [undefined]],
  );
});

test('what is no base64 of user:password is refused without showing it', () => {
  for (const value of ['not base64!', Buffer.from('no colon').toString('base64')]) {
    assert.throws(() => credentialsFor({ domain: 'a.io' }, auth({ auth: value }), NONE), {
      code: 'INVALID_ARGUMENT',
      message: 'auth.auth: expected base64 of user:password',
    });
  }
});

test('configured credentials serve pulls that bring none, host by host', () => {
  const empty = { username: '', password: '', auth: '', identitytoken: '' };
  const configs = { 'a.io': { auth: { ...empty, ...JO } } };
  const auths = { 'https://docker.io/v1/': { ...empty, identitytoken: 'hub' } };
  const configured = credentialsFor({ domain: 'a.io' }, undefined, { configs, auths });
  assert.deepEqual(
    ['a.io', 'b.io', 'registry-1.docker.io'].map((host) => configured?.(host)),
    [JO, undefined, { identityToken: 'hub' }],
  );
  const own = { username: 'me', password: 'mine' };
  assert.deepEqual(credentialsFor({ domain: 'a.io' }, auth(own), { configs, auths })?.('a.io'), own);
  assert.equal(credentialsFor({ domain: 'a.io' }, undefined, NONE), undefined);
});

test('the fingerprint tells credentials and snapshotters apart and gives neither away', () => {
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
