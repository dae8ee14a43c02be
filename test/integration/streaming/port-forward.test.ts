import assert from 'node:assert/strict';
import { createHash, randomBytes } from 'node:crypto';
import { setTimeout as sleep } from 'node:timers/promises';
import { after, test } from 'node:test';
import { openWebSocket } from '../../harness/streaming/websocket-client.js';
import { assertFails, startSuite } from '../rpc/suite.js';
import { room } from '../../harness/streaming/command-client.js';
import { echoServer, startPodServer, type PodServer } from '../../harness/streaming/pod-server.js';
import { openSpdy, openTunnel, type SpdyClient } from '../../harness/streaming/spdy-client.js';

const suite = startSuite({ withPod: true });
const ECHO_PORT = 8000;
const IPV6_PORT = 8006;
const NOBODY = 8001;
const ENDING_PORT = 8002;
const COUNT_PORT = 8003;
const MIB = 1024 * 1024;

let started: Promise<PodServer> | undefined;
after(async () => (await started)?.stop());

const server = (): Promise<PodServer> =>
  (started ??= startPodServer(suite.crid, suite.pod.id, echoServer(ECHO_PORT, IPV6_PORT)));

async function forwardUrl(port: number[] = []): Promise<string> {
  await server();
  return (await suite.crid.runtime.portForward({ pod_sandbox_id: suite.pod.id, port })).url;
}

let lastRequest = 0;

/**
 * Opens one connection, sends `bytes`, half-closes, and returns the data and the error that arrive until the pod
 * closes.
 */
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

test('over the tunnel in a WebSocket, by the current name and that of Kubernetes 1.30', async () => {
  for (const protocol of ['SPDY/3.1+portforward.k8s.io', 'v2.portforward.k8s.io']) {
    const client = await openTunnel(await forwardUrl(), protocol);
    const { data, error } = await through(client, ECHO_PORT, Buffer.from(protocol));
    assert.deepEqual([data.toString(), error], [protocol, '']);
    client.socket.destroy();
  }
});

/**
 * Ends its side of each connection on the first port at once and counts the bytes that still arrive. Sends the count on
 * the second port once the connection is closed.
 */
const endingServer = `
  const { createServer } = require('node:net');
  let [count, done] = [0, new Promise(() => {})];
  createServer({ allowHalfOpen: true }, (socket) => {
    count = 0;
    done = new Promise((resolve) => socket.on('close', resolve));
    socket.on('error', () => socket.destroy());
    socket.on('data', (bytes) => (count += bytes.length));
    socket.end('bye');
  }).listen(${ENDING_PORT}, '127.0.0.1', () => {
    const told = createServer({ allowHalfOpen: true }, (socket) => void done.then(() => socket.end(String(count))));
    told.listen(${COUNT_PORT}, '127.0.0.1', () => console.log('ready'));
  });
`;

test('a pod that ends its half first still gets all that the client sends', async () => {
  const ending = await startPodServer(suite.crid, suite.pod.id, endingServer);
  try {
    const url = forwardUrl;
    for (const client of [await openSpdy(await url(), 'portforward.k8s.io'), await openTunnel(await url())]) {
      const pair = { port: String(ENDING_PORT), requestID: 'ending' };
      const error = await client.open({ ...pair, streamType: 'error' });
      error.end();
      const data = await client.open({ ...pair, streamType: 'data' });
      assert.equal((await data.all).toString(), 'bye');
      for (let sent = 0; sent < 64; sent += 1) data.write(Buffer.alloc(65_536));
      data.end();
      const told = await through(client, COUNT_PORT, Buffer.alloc(0));
      assert.deepEqual([told.data.toString(), (await error.all).toString()], [String(64 * 65_536), '']);
      client.socket.destroy();
    }
  } finally {
    ending.stop();
  }
});

test('a client that does not read pauses the pod, and all data arrives once it reads', async () => {
  const client = await openSpdy(await forwardUrl(), 'portforward.k8s.io');
  const pair = { port: String(ECHO_PORT), requestID: 'slow' };
  const [sent, received] = [createHash('sha256'), createHash('sha256')];
  let [taken, came] = [0, 0];
  const error = await client.open({ ...pair, streamType: 'error' });
  error.end();
  const data = await client.open({ ...pair, streamType: 'data' }, (bytes) => {
    came += bytes.length;
    received.update(bytes);
  });
  client.socket.pause();
  const sending = (async () => {
    const chunk = randomBytes(65_536);
    while (taken < 256 * MIB) {
      sent.update(chunk);
      taken += chunk.length;
      await room(client.socket, data.write(chunk));
    }
    data.end();
  })();
  // The buffers on the way fill up, and then nothing moves.
  for (let last = -1; last !== taken;) {
    last = taken;
    await sleep(1_000);
  }
  assert.ok(taken < 128 * MIB, `${taken} bytes were taken from the client`);
  client.socket.resume();
  await sending;
  await data.all;
  assert.deepEqual([came, received.digest('hex')], [taken, sent.digest('hex')]);
  client.socket.destroy();
});

test('a port without a listener is an error of its own connection only', async () => {
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

test('a pod that stops ends its forwards', async () => {
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

test('an invalid port is refused', async () => {
  const request = { pod_sandbox_id: suite.pod.id, port: [70_000] };
  await assertFails(suite.crid.runtime.portForward(request), 'INVALID_ARGUMENT', 'port[0]', '70000');
});
