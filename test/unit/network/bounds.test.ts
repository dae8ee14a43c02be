import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { test } from 'node:test';
import { pino } from 'pino';
import { CriError } from '../../../src/base/errors.js';
import { MAX_RESULT_BYTES, toCniResult } from '../../../src/network/cni-result.js';
import { loadConfDir } from '../../../src/network/conf-dir.js';
import { parseConfList } from '../../../src/network/conf-list.js';
import { createResultCache, MAX_FILE_BYTES } from '../../../src/network/result-cache.js';
import { MAX_OUTPUT_BYTES } from '../../../src/network/run-process.js';
import { createLab, never, pod } from './fake-plugins.js';

const MAX_CONF_BYTES = 1 << 20;
const NET = { cniVersion: '1.0.0', name: 'net', plugins: [{ type: 'bridge' }] };
const RESULT = { cniVersion: '1.0.0', interfaces: [{ name: 'eth0' }], ips: [{ address: '10.9.0.2/24', interface: 0 }] };
/** JSON may end with white space. */
const padded = (value: unknown, bytes: number): string => JSON.stringify(value).padEnd(bytes);

async function errorOf(work: () => unknown): Promise<string> {
  try {
    await work();
    return 'none';
  } catch (thrown) {
    const { code, message } = CriError.from(thrown);
    return `${code} ${message}`;
  }
}

test('a configuration file is read up to its limit; a larger one, and one that is not a file, fail by name', async (t) => {
  const lab = await createLab(t);
  const load = async (file: string, bytes: number): Promise<string> => {
    await lab.conf(file, padded(NET, bytes));
    return (await loadConfDir(lab.confDir, 1)).error;
  };
  const path = join(lab.confDir, '1.conflist');
  const failed = (reason: string): string =>
    `failed to load CNI config list file ${path}: ${reason}: invalid cni config`;
  assert.deepEqual(
    [await load('1.conflist', MAX_CONF_BYTES), await load('1.conflist', MAX_CONF_BYTES + 1)],
    ['', failed(`read ${path}: larger than 1048576 bytes`)],
  );
  execFileSync('rm', [path]);
  execFileSync('mkfifo', [path]);
  assert.equal((await loadConfDir(lab.confDir, 1)).error, failed(`read ${path}: not a regular file`));
});

test('a plugin may write up to its limit; with one byte more it is killed and named', async (t) => {
  const lab = await createLab(t);
  await lab.conf('1.conflist', NET);
  const attach = async (bytes: number): Promise<string> => {
    const file = join(lab.dir, 'result');
    await writeFile(file, padded(RESULT, bytes));
    await lab.plugin('bridge', { add: `cat ${file}` });
    return errorOf(() => lab.network().attach(pod(), never()));
  };
  assert.deepEqual(
    [await attach(MAX_OUTPUT_BYTES), await attach(MAX_OUTPUT_BYTES + 1)],
    ['none', 'RESOURCE_EXHAUSTED plugin type="bridge" name="net" failed (add): killed: wrote more than 1048576 bytes'],
  );
});

test('the results of all networks of a pod are kept up to their limit', async () => {
  const kept = (bytes: number): Promise<string> => {
    const network = (name: string, domain: string) => ({ network: name, result: { ...RESULT, dns: { domain } } });
    const half = 'x'.repeat(MAX_RESULT_BYTES / 2);
    const others = JSON.stringify(toCniResult([network('one', 'x'), network('two', 'x')])).length - 2;
    return errorOf(() => toCniResult([network('one', half), network('two', 'x'.repeat(bytes - half.length - others))]));
  };
  assert.deepEqual(
    [await kept(MAX_RESULT_BYTES), await kept(MAX_RESULT_BYTES + 1)],
    ['none', "RESOURCE_EXHAUSTED the results of the pod's networks have 1048577 bytes, more than 1048576"],
  );
});

test('a file of the cache is written and read up to its limit; a larger one is refused or ignored', async (t) => {
  const lab = await createLab(t);
  const cache = createResultCache(lab.cacheDir, pino({ level: 'silent' }));
  const conf = parseConfList(JSON.stringify(NET));
  const target = { containerId: 'pod1', netns: '', ifName: 'eth0', args: [], capabilityArgs: {} };
  await cache.write(conf, target, { note: '' });
  const path = join(lab.cacheDir, 'results', 'net-pod1-eth0');
  const room = MAX_FILE_BYTES - (await readFile(path)).length;
  const write = (bytes: number): Promise<string> =>
    errorOf(() => cache.write(conf, target, { note: 'x'.repeat(bytes) }));
  const count = async (): Promise<number> => (await cache.ofContainer('pod1')).length;
  assert.deepEqual(
    [await write(room), await count(), await write(room + 1), await count()],
    ['none', 1, 'RESOURCE_EXHAUSTED cache result of network net: 16777217 bytes, more than 16777216', 1],
  );
  await writeFile(path, ' '.repeat(MAX_FILE_BYTES + 1));
  assert.equal(await count(), 0);
});
