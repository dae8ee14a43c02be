import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { copyFile, mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { killShim } from '../../../src/host/shims.js';

test('the shim of one id is killed, that of another id, namespace or containerd is not', async (t) => {
  const folder = await mkdtemp(join(tmpdir(), 'crid-shims-'));
  const program = join(folder, 'containerd-shim-test-v2');
  await copyFile('/bin/bash', program);
  const shim = (namespace: string, id: string, address: string) =>
    spawn(program, ['-c', 'read -r', 'shim', '-namespace', namespace, '-id', id, '-address', address]);
  const wanted = shim('crid-test', 'a', '/run/a.sock');
  const others = [
    shim('crid-test', 'b', '/run/a.sock'),
    shim('other', 'a', '/run/a.sock'),
    shim('crid-test', 'a', '/run/b.sock'),
  ];
  t.after(async () => {
    for (const other of others) other.kill('SIGKILL');
    await rm(folder, { recursive: true });
  });
  await Promise.all([wanted, ...others].map((child) => once(child, 'spawn')));

  const ended = once(wanted, 'exit');
  const target = { namespace: 'crid-test', id: 'a', address: 'unix:///run/a.sock' };
  assert.equal(await killShim(target), true);
  assert.deepEqual(await ended, [null, 'SIGKILL']);
  assert.equal(await killShim(target), false);
  assert.deepEqual(
    others.map(({ exitCode, signalCode }) => [exitCode, signalCode]),
    others.map(() => [null, null]),
  );
});
