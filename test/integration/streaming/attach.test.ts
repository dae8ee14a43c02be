import assert from 'node:assert/strict';
import { test } from 'node:test';
import { ContainerState } from '../../../generated/runtime/v1/api.js';
import { until } from '../../../tools/stack/wait.js';
import { openWebSocket, type WebSocketClient } from '../../harness/streaming/websocket-client.js';
import { assertFails, startSuite } from '../rpc/suite.js';
import { openCommand } from '../../harness/streaming/spdy-client.js';

const suite = startSuite({ withPod: true });
const V5 = 'v5.channel.k8s.io';
const EXIT_WITHIN_MS = 10_000;
const SUCCESS = '{"metadata":{},"status":"Success"}';

async function attachUrl(id: string, more: { stdin?: boolean; tty?: boolean } = {}): Promise<string> {
  const { stdin = true, tty = false } = more;
  const request = { container_id: id, stdin, stdout: true, stderr: !tty, tty };
  return (await suite.crid.runtime.attach(request)).url;
}

const attach = async (id: string, more = {}): Promise<WebSocketClient> =>
  openWebSocket(await attachUrl(id, more), [V5]);

/** Attaches and sends lines until the first one is echoed: before that, the container's output goes only to the log. */
async function answering(id: string, more = {}): Promise<WebSocketClient> {
  const client = await attach(id, more);
  const asking = setInterval(() => client.send(0, 'hello\n'), 100);
  await client.until(1, (bytes) => bytes.length > 0).finally(() => clearInterval(asking));
  return client;
}

test('many clients get the same output, and detaching does not affect the container', async () => {
  const id = await suite.pod.run({ command: ['cat'], stdin: true });
  const clients = [await answering(id), await answering(id), await answering(id)];
  clients[0]?.send(0, 'to all\n');
  for (const client of clients) await client.until(1, (bytes) => bytes.includes('to all\n'));
  clients[1]?.socket.destroy();
  clients[2]?.end(0);
  assert.equal(await clients[2]?.closed, 1000);
  clients[0]?.send(0, 'still here\n');
  await clients[0]?.until(1, (bytes) => bytes.includes('still here\n'));
  const { status } = await suite.crid.runtime.containerStatus({ container_id: id });
  assert.equal(status?.state, ContainerState.CONTAINER_RUNNING);
  await suite.crid.runtime.removeContainer({ container_id: id });
  assert.equal(await clients[0]?.closed, 1000);
});

test('stdin of the first client ends with it, and all later output is received', async () => {
  const id = await suite.pod.run({ command: ['sh', '-c', 'wc -c; echo err >&2'], stdin: true, stdin_once: true });
  const { stdin, stdout, stderr, error } = await openCommand(await attachUrl(id), true);
  for (let count = 0; count < 100; count += 1) stdin?.write(Buffer.alloc(10_000));
  stdin?.end();
  const all = await Promise.all([stdout.all, stderr.all, error.all]);
  assert.deepEqual(all.map(String), ['1000000\n', 'err\n', SUCCESS]);
  await until('the exit is known', EXIT_WITHIN_MS, async () => {
    const { status } = await suite.crid.runtime.containerStatus({ container_id: id });
    return status?.state === ContainerState.CONTAINER_EXITED ? true : undefined;
  });
  await assertFails(attachUrl(id), 'FAILED_PRECONDITION', id);
});

test('stdin of the first client also ends when that client vanishes', async () => {
  const command = ['sh', '-c', 'while read line; do echo "$line"; done; exit 7'];
  const id = await suite.pod.run({ command, stdin: true, stdin_once: true });
  const client = await answering(id);
  client.socket.resetAndDestroy();
  const code = await until('it ends', EXIT_WITHIN_MS, async () => {
    const { status } = await suite.crid.runtime.containerStatus({ container_id: id });
    return status?.state === ContainerState.CONTAINER_EXITED ? status.exit_code : undefined;
  });
  assert.equal(code, 7);
});

test('a terminal can be attached to, and left', async () => {
  const id = await suite.pod.run({ command: ['sh'], stdin: true, tty: true });
  const first = await answering(id, { tty: true });
  first.send(4, '{"Width":99,"Height":33}');
  first.send(0, 'sleep 0.3; stty size\n');
  await first.until(1, (bytes) => bytes.includes('33 99'));
  first.socket.destroy();
  const second = await answering(id, { tty: true });
  second.send(0, 'exit\n');
  assert.equal(await second.closed, 1000);
});
