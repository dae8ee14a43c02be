import assert from 'node:assert/strict';
import { mkdtemp, readdir, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { parse } from 'smol-toml';
import { registryHosts } from '../../../src/images/registry-hosts.js';
import { hostsOfMirrors, hostsToml } from '../../../src/images/registry-mirrors.js';

const capabilities = ['pull', 'resolve'];
/** The parser's objects have no prototype. */
const parsed = (text: string): unknown => JSON.parse(JSON.stringify(parse(text)));

test('the endpoints of a registry come in their order, and then the registry itself', () => {
  const text = hostsToml('docker.io', [
    'https://b.example',
    'http://a.example:5000/mirror',
    '127.0.0.1:5000',
    '[::1]:5000',
  ]);
  const host = {
    'https://b.example': { capabilities },
    'http://a.example:5000/mirror': { capabilities, override_path: true },
    'http://127.0.0.1:5000': { capabilities },
    'http://[::1]:5000': { capabilities },
  };
  assert.deepEqual(parsed(text), { host });
  assert.deepEqual(
    [...text.matchAll(/^\[host\."(.*)"\]/gm)].map(([, url]) => url),
    Object.keys(host),
  );
});

test('a registry that is one of its own endpoints is not tried again', () => {
  assert.deepEqual(parsed(hostsToml('a.example', ['http://a.example', 'b.example'])), {
    server: 'https://b.example',
    capabilities,
    host: { 'http://a.example': { capabilities } },
  });
  assert.deepEqual(parsed(hostsToml('docker.io', ['https://registry-1.docker.io'])), {
    server: 'https://registry-1.docker.io',
    capabilities,
    host: {},
  });
});

test('mirrors replace config_path, with * for every other registry; what an earlier start wrote is gone', async (t) => {
  const folder = await mkdtemp(join(tmpdir(), 'crid-mirrors-'));
  t.after(() => rm(folder, { recursive: true, force: true }));
  const registry = { config_path: '', headers: {}, configs: {}, auths: {} };
  const mirrors = { 'a.example:5000': { endpoint: ['https://m.example'] }, '*': { endpoint: ['https://n.example'] } };
  assert.equal(await hostsOfMirrors({ ...registry, mirrors }, folder), folder);
  assert.deepEqual(
    [(await registryHosts(folder, 'a.example:5000')).hosts, (await registryHosts(folder, 'b.example')).hosts],
    [
      ['a.example:5000', 'https://m.example'],
      ['b.example', 'https://n.example'],
    ],
  );
  await hostsOfMirrors({ ...registry, mirrors: { 'c.example': { endpoint: ['https://m.example'] } } }, folder);
  assert.deepEqual(await readdir(folder), ['c.example']);
  assert.equal(await hostsOfMirrors({ ...registry, config_path: '/etc/certs.d', mirrors: {} }, folder), '/etc/certs.d');
});
