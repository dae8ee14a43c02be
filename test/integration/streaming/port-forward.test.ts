import assert from 'node:assert/strict';
import { spawn, type ChildProcess } from 'node:child_process';
import { createHash, randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { after, test } from 'node:test';
import { openWebSocket } from '../../harness/streaming/websocket-client.js';
import { assertFails, startSuite } from '../rpc/suite.js';
import { openSpdy, type SpdyClient } from '../../harness/streaming/spdy-client.js';

const suite = startSuite({ withPod: true });
const ECHO_PORT = 8000;
const IPV6_PORT = 8006;
const NOBODY = 8001;

/** Echoes, and ends when its client does. */
const SERVER = `
  const server = require('node:net').createServer({ allowHalfOpen: true }, (socket) => socket.pipe(socket));
  const other = require('node:net').createServer({ allowHalfOpen: true }, (socket) => socket.pipe(socket));
  server.listen(${ECHO_PORT}, '127.0.0.1', () => other.listen(${IPV6_PORT}, '::1', () => console.log('ready')));
`;

let echo: ChildProcess | undefined;
let started: Promise<unknown> | undefined;
after(() => echo?.kill('SIGKILL'));

const server = (): Promise<unknown> => (started ??= startServer());

/** Runs in the pod's network, but not in the pod: its image has no server that knows half a connection. */
async function startServer(): Promise<void> {
  const request = { pod_sandbox_id: suite.pod.id, verbose: true };
  const { info } = await suite.crid.runtime.podSandboxStatus(request);
  const { runtimeSpec } = JSON.parse(info['info'] ?? '{}') as {
    runtimeSpec: { linux: { namespaces: { type: string; path: string }[] } };
  };
  const netns = runtimeSpec.linux.namespaces.find(({ type }) => type === 'network');
  echo = spawn('nsenter', [`--net=${netns?.path}`, process.execPath, '-e', SERVER], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  if (echo.stdout) await once(echo.stdout, 'data');
}

async function forwardUrl(port: number[] = []): Promise<string> {
  await server();
  return (await suite.crid.runtime.portForward({ pod_sandbox_id: suite.pod.id, port })).url;
}

let lastRequest = 0;

/** One connection: what is sent, half-closed, and what comes back until the pod closes. */
async function through(client: SpdyClient, port: number, bytes: Buffer): Promise<{ data: Buffer; error: string }> {
  const pair = { port: String(port), requestID: String((lastRequest += 1)) };
  const error = await client.open({ ...pair, streamType: 'error' });
  error.end();
  const data = await client.open({ ...pair, streamType: 'data' });
  for (let at = 0; at < bytes.length; at += 32_768) data.write(bytes.subarray(at, at + 32_768));
  data.end();
  return { data: await data.all, error: (await error.all).toString() };
}

const digest = (bytes: Buffer): string => createHash('sha256').update(bytes).digest('hex');

test('connections into the pod, IPv4 then IPv6, half-closed from both sides', async () => {
  const client = await openSpdy(await forwardUrl(), 'portforward.k8s.io');
  const bytes = randomBytes(4 * 1024 * 1024);
  for (const port of [ECHO_PORT, IPV6_PORT]) {
    const { data, error } = await through(client, port, bytes);
    assert.deepEqual([digest(data), error], [digest(bytes), '']);
  }
  const many = await Promise.all(
    Array.from({ length: 50 }, (_, index) => through(client, ECHO_PORT, Buffer.alloc(100_000, index))),
  );
  assert.deepEqual(
    many.map(({ data }) => [data.length, data.at(0), data.at(-1)]),
    many.map((_, index) => [100_000, index, index]),
  );
  client.socket.destroy();
});

test('a port where nobody listens is told as an error, and costs only its own connection', async () => {
  const client = await openSpdy(await forwardUrl(), 'portforward.k8s.io');
  const refused = await through(client, NOBODY, Buffer.from('x'));
  assert.match(refused.error, /port 8001 .*ECONNREFUSED/);
  const { data } = await through(client, ECHO_PORT, Buffer.from('fine'));
  assert.equal(data.toString(), 'fine');
  client.socket.destroy();
});

test('the channels of a WebSocket, for the ports of the request', async () => {
  const client = await openWebSocket(await forwardUrl([ECHO_PORT, NOBODY]), ['v4.channel.k8s.io']);
  client.send(0, 'echo');
  await client.until(0, (bytes) => bytes.length === 6);
  await client.until(3, (bytes) => bytes.length > 2);
  const port = Buffer.alloc(2);
  port.writeUInt16LE(ECHO_PORT);
  assert.deepEqual(client.received(0), Buffer.concat([port, Buffer.from('echo')]));
  assert.match(client.received(3).toString('latin1', 2), /ECONNREFUSED/);
  client.socket.destroy();
});

test('a pod that stops takes its forwards along', async () => {
  const { pod_sandbox_id: id } = await suite.crid.runtime.runPodSandbox({
    config: { ...suite.pod.config, metadata: { name: 'short', namespace: 'test', uid: 'short', attempt: 0 } },
  });
  const client = await openSpdy(
    (await suite.crid.runtime.portForward({ pod_sandbox_id: id })).url,
    'portforward.k8s.io',
  );
  const closed = new Promise((resolve) => client.socket.once('close', resolve));
  await suite.crid.runtime.stopPodSandbox({ pod_sandbox_id: id });
  await closed;
  await assertFails(suite.crid.runtime.portForward({ pod_sandbox_id: id }), 'FAILED_PRECONDITION', id);
});

test('a port that is none is refused', async () => {
  const request = { pod_sandbox_id: suite.pod.id, port: [70_000] };
  await assertFails(suite.crid.runtime.portForward(request), 'INVALID_ARGUMENT', 'port[0]', '70000');
});
