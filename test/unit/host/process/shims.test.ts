import assert from 'node:assert/strict';
import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { copyFile, mkdtemp, rm } from 'node:fs/promises';
import { connect } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test, type TestContext } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { killShim, type ShimOf } from '../../../../src/host/process/shims.js';

/** Longer than a test may take. */
const GRACE_MS = 3_600_000;
/** Time for several checks of the shim. */
const LOOKS_MS = 2_500;

test('the shim of one id is killed, that of another id, namespace or containerd is not', async (t) => {
  const folder = await mkdtemp(join(tmpdir(), 'crid-shims-'));
  const program = join(folder, 'containerd-shim-test-v2');
  // Another run of this test on the host has the same ids.
  const namespace = `crid-test-${process.pid}`;
  await copyFile('/bin/bash', program);
  const shim = (of: string, id: string, address: string) =>
    spawn(program, ['-c', 'read -r', 'shim', '-namespace', of, '-id', id, '-address', address]);
  const wanted = shim(namespace, 'a', '/run/a.sock');
  const others = [
    shim(namespace, 'b', '/run/a.sock'),
    shim('other', 'a', '/run/a.sock'),
    shim(namespace, 'a', '/run/b.sock'),
  ];
  t.after(async () => {
    for (const other of others) other.kill('SIGKILL');
    await rm(folder, { recursive: true });
  });
  await Promise.all([wanted, ...others].map((child) => once(child, 'spawn')));

  const ended = once(wanted, 'exit');
  const target = { namespace, id: 'a', address: 'unix:///run/a.sock' };
  assert.equal(await killShim(target), true);
  assert.deepEqual(await ended, [null, 'SIGKILL']);
  assert.equal(await killShim(target), false);
  assert.deepEqual(
    others.map(({ exitCode, signalCode }) => [exitCode, signalCode]),
    others.map(() => [null, null]),
  );
});

/** Starts a process that looks like a shim and listens on a socket. */
async function listeningShim(
  t: TestContext,
  folder: string,
): Promise<{ shim: ShimOf; socket: string; child: ChildProcess }> {
  const socket = join(folder, 'shim.sock');
  const shim = { namespace: 'crid-test', id: `listening-${process.pid}`, address: '/run/a.sock' };
  const script = 'require("node:net").createServer(() => {}).listen(process.argv[1], () => console.log("listens"))';
  const options = ['-namespace', shim.namespace, '-id', shim.id, '-address', shim.address];
  const child = spawn(process.execPath, ['-e', script, '--', socket, ...options], {
    argv0: 'containerd-shim-test-v2',
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  t.after(() => child.kill('SIGKILL'));
  await once(child.stdout, 'data');
  return { shim, socket, child };
}

test('a shim gets its time while containerd is connected, and is killed when it has no connection', async (t) => {
  const folder = await mkdtemp(join(tmpdir(), 'crid-shims-'));
  t.after(() => rm(folder, { recursive: true }));
  const { shim, socket, child } = await listeningShim(t, folder);
  const client = connect(socket);
  await once(client, 'connect');
  const killed = killShim(shim, { graceMs: GRACE_MS });
  await sleep(LOOKS_MS);
  assert.deepEqual([child.exitCode, child.signalCode], [null, null]);
  const ended = once(child, 'exit');
  client.destroy();
  // Without a check for connected clients, this would take the whole grace period.
  assert.equal(await killed, true);
  assert.deepEqual(await ended, [null, 'SIGKILL']);
});

test('a shim without a connection is killed without a wait', async (t) => {
  const folder = await mkdtemp(join(tmpdir(), 'crid-shims-'));
  t.after(() => rm(folder, { recursive: true }));
  const { shim, child } = await listeningShim(t, folder);
  const ended = once(child, 'exit');
  assert.equal(await killShim(shim, { graceMs: GRACE_MS }), true);
  assert.deepEqual(await ended, [null, 'SIGKILL']);
});

test('a shim that serves other tasks stays, also when that shows only before the kill', async (t) => {
  const folder = await mkdtemp(join(tmpdir(), 'crid-shims-'));
  t.after(() => rm(folder, { recursive: true }));
  const { shim, child } = await listeningShim(t, folder);
  const answers = [true, false, true];
  const isUsed = (): Promise<boolean> => Promise.resolve(answers.shift() ?? false);
  assert.equal(await killShim(shim, { graceMs: GRACE_MS, isUsed }), false);
  assert.deepEqual(answers, [false, true]);
  assert.equal(await killShim(shim, { graceMs: GRACE_MS, isUsed }), false);
  assert.deepEqual([answers, child.exitCode, child.signalCode], [[], null, null]);
  const ended = once(child, 'exit');
  assert.equal(await killShim(shim, { graceMs: GRACE_MS, isUsed }), true);
  assert.deepEqual(await ended, [null, 'SIGKILL']);
});
