import assert from 'node:assert/strict';
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { registryHosts } from '../../../src/images/registry-hosts.js';

test('the first directory that exists is used, as in containerd, with or without a hosts.toml', async (t) => {
  const dir = await mkdtemp(join(tmpdir(), 'crid-hosts-'));
  t.after(() => rm(dir, { recursive: true }));
  const [first, second] = [join(dir, 'first'), join(dir, 'second')];
  const put = async (folder: string, toml?: string): Promise<void> => {
    await mkdir(folder, { recursive: true });
    if (toml !== undefined) await writeFile(join(folder, 'hosts.toml'), toml);
  };
  await put(join(first, 'a.io_5000_'), 'server = "https://up.io/v2"\n[host."http://m.io"]\n[host."n.io:1/x"]\n');
  await put(join(first, 'a.io:5000'), '[host."https://never.io"]');
  await put(join(first, 'bare.io'));
  await put(join(first, 'odd.io'), 'server = ');
  await put(join(first, 'docker.io'), '[host."https://hub.io"]\n[host."https://hub.io".header]\nx = "y"');
  await put(join(second, 'b.io'), '[host."https://b-mirror.io"]');
  await put(join(second, '_default'), '[host."https://any.io"]');
  const found = async (domain: string, path = `${first}:${second}`): Promise<unknown[]> => {
    const { hostDir, hosts } = await registryHosts(path, domain);
    return [hostDir, ...hosts];
  };
  assert.deepEqual(
    [
      await found('a.io:5000'),
      await found('bare.io'),
      await found('odd.io'),
      await found('docker.io'),
      await found('b.io'),
      await found('c.io:1'),
      await found('c.io', first),
      await found('c.io', ''),
    ],
    [
      [first, 'a.io:5000', 'http://m.io', 'n.io:1/x', 'https://up.io/v2'],
      [first, 'bare.io'],
      [first, 'odd.io'],
      [first, 'docker.io', 'https://hub.io'],
      [second, 'b.io', 'https://b-mirror.io'],
      [second, 'c.io:1', 'https://any.io'],
      [first, 'c.io'],
      ['', 'c.io'],
    ],
  );
});
