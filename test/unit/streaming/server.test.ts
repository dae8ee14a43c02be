import assert from 'node:assert/strict';
import { createHash, X509Certificate } from 'node:crypto';
import { once } from 'node:events';
import { constants, createWriteStream, openSync, readdirSync } from 'node:fs';
import { connect, Socket } from 'node:net';
import { test } from 'node:test';
import { selfSigned } from '../../../src/streaming/server/self-signed.js';
import type { CommandClient, Outcome } from '../../../src/streaming/streaming.js';
import { upgrade } from '../../harness/streaming/upgrade.js';
import { execUrl, never, setUp, STREAMS } from './own-server.js';
import { openWebSocket } from '../../harness/streaming/websocket-client.js';

const V5 = 'v5.channel.k8s.io';
const WEBSOCKET = ['Upgrade: websocket', 'Sec-WebSocket-Version: 13', 'Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA=='];

/** Opens the FIFO without waiting for a writer. The socket ends when the last writer closes. */
const readFifo = (path: string): Socket =>
  new Socket({ fd: openSync(path, constants.O_RDONLY | constants.O_NONBLOCK), writable: false });

/** Acts like `cat`: reads its input to the end and writes it to its output. */
async function echo(client: CommandClient, fifo: (name: string) => string, name: string): Promise<Outcome> {
  const [stdin, stdout] = [fifo(`${name}-in`), fifo(`${name}-out`)];
  await client.read({ stdout });
  const input = readFifo(stdin);
  const output = createWriteStream(stdout);
  client.feed(stdin);
  input.pipe(output);
  await once(output, 'close');
  await client.drain(1_000);
  return { kind: 'exited', exitCode: 7 };
}

test('bytes are sent in both directions, and the exit code follows them', async (t) => {
  const { streaming, fifo } = await setUp(t);
  for (const [protocol, half] of [
    [V5, true],
    ['v4.base64.channel.k8s.io', false],
  ] as const) {
    let stopEcho: (() => void) | undefined;
    const url = execUrl(streaming, async (client) => {
      if (half) return echo(client, fifo, 'echo');
      const stdout = fifo('text-out');
      await client.read({ stdout });
      const output = createWriteStream(stdout);
      output.write('binary \0\xff', 'latin1');
      await new Promise<void>((resolve) => (stopEcho = resolve));
      output.end();
      await client.drain(1_000);
      return { kind: 'exited', exitCode: 0 };
    });
    const client = await openWebSocket(url, [protocol]);
    assert.equal(client.protocol, protocol);
    if (half) {
      const bytes = Buffer.alloc(3_000_000, 'some bytes, ');
      client.send(0, bytes);
      client.end(0);
      assert.equal(await client.closed, 1000);
      assert.equal(digest(client.received(1)), digest(bytes));
      const status = JSON.parse(client.received(3).toString()) as { details: { causes: { message: string }[] } };
      assert.equal(status.details.causes[0]?.message, '7');
    } else {
      await client.until(1, (bytes) => bytes.length === 9);
      stopEcho?.();
      assert.equal(await client.closed, 1000);
      assert.deepEqual(
        [client.received(1).toString('latin1'), client.received(3).toString()],
        ['binary \0\xff', '{"metadata":{},"status":"Success"}'],
      );
    }
  }
});

test('a URL is valid once, only for its route, and only after it was issued', async (t) => {
  const { streaming } = await setUp(t);
  const url = execUrl(streaming, never);
  const other = execUrl(streaming, never).replace('/exec/', '/attach/');
  const client = await openWebSocket(url, [V5]);
  for (const bad of [url, other, url.replace(/.$/, ''), `${url}x`, url.replace(/exec.*/, '')]) {
    const { head, socket } = await upgrade(bad, WEBSOCKET);
    assert.match(head, /^HTTP\/1.1 404 /, bad);
    socket.destroy();
  }
  client.socket.destroy();
});

test('a failed negotiation is refused, and its token remains valid', async (t) => {
  const { streaming } = await setUp(t);
  const url = execUrl(streaming, never);
  const spdy = 'Upgrade: SPDY/3.1';
  const cases: [string[], RegExp][] = [
    [['Upgrade: h2c'], /^HTTP\/1.1 400 /],
    [[spdy], /^HTTP\/1.1 400 /],
    [
      [spdy, 'X-Stream-Protocol-Version: v9.channel.k8s.io'],
      /^HTTP\/1.1 403 [^]*Accepted-Stream-Protocol-Versions: v4/,
    ],
    [[...WEBSOCKET, 'Sec-WebSocket-Protocol: v9.channel.k8s.io'], /^HTTP\/1.1 403 /],
    [['Upgrade: websocket', 'Sec-WebSocket-Version: 8'], /^HTTP\/1.1 426 [^]*Sec-WebSocket-Version: 13/],
    [['Upgrade: websocket', 'Sec-WebSocket-Version: 13', 'Sec-WebSocket-Key: short'], /^HTTP\/1.1 400 /],
    [['Upgrade: websocket', `X-Bomb: ${'x'.repeat(20_000)}`], /^HTTP\/1.1 431 /],
  ];
  for (const [headers, expected] of cases) {
    const { head, socket } = await upgrade(url, headers);
    assert.match(head, expected);
    socket.destroy();
  }
  (await openWebSocket(url, ['v9.channel.k8s.io', V5])).socket.destroy();
});

test('a request without an upgrade, and bytes that are not a request, get a response and are closed', async (t) => {
  const { streaming } = await setUp(t);
  const { port } = new URL(execUrl(streaming, never));
  for (const text of ['GET / HTTP/1.1\r\nHost: x\r\n\r\n', 'nonsense\r\n\r\n']) {
    const socket = connect(Number(port), '127.0.0.1');
    socket.write(text);
    const answer = await socket.toArray();
    assert.match(Buffer.concat(answer as Buffer[]).toString(), /^HTTP\/1.1 400 /);
  }
});

test('at most a thousand URLs wait to be used', async (t) => {
  const { streaming } = await setUp(t);
  for (let count = 0; count < 1_000; count += 1) execUrl(streaming, never);
  assert.throws(() => execUrl(streaming, never), { code: 'RESOURCE_EXHAUSTED' });
});

test('input from a client waits for a shim that opens its end after the start', async (t) => {
  const { streaming, fifo } = await setUp(t);
  const [stdin, stdout] = [fifo('late-in'), fifo('late-out')];
  const url = execUrl(streaming, async (client) => {
    await client.read({ stdout });
    client.feed(stdin);
    await new Promise((resolve) => setTimeout(resolve, 300));
    const output = createWriteStream(stdout);
    readFifo(stdin).pipe(output);
    await once(output, 'close');
    await client.drain(1_000);
    return { kind: 'exited', exitCode: 0 };
  });
  const client = await openWebSocket(url, [V5]);
  client.send(0, Buffer.from('to the end'));
  client.end(0);
  assert.equal(await client.closed, 1000);
  assert.equal(client.received(1).toString(), 'to the end');
});

test('a client that leaves is noticed, even while nothing is read from it', async (t) => {
  const { streaming, fifo } = await setUp(t);
  const stdin = fifo('full');
  const reader = readFifo(stdin);
  reader.pause();
  t.after(() => reader.destroy());
  let reason: Promise<unknown> | undefined;
  const url = execUrl(streaming, async (client) => {
    reason = once(client.signal, 'abort').then(() => client.signal.reason as unknown);
    client.feed(stdin);
    return never(client);
  });
  const client = await openWebSocket(url, [V5]);
  // Far more than the pipe and the buffers hold while the input is not read.
  client.send(0, Buffer.alloc(8_000_000));
  await until(() => client.socket.writableLength === 0 || client.socket.bytesWritten > 1_000_000);
  await until(() => reason !== undefined);
  client.socket.destroy();
  assert.match(String(await reason), /the client has gone/);
});

test('a client that breaks the protocol is closed with a code', async (t) => {
  const { streaming } = await setUp(t);
  const client = await openWebSocket(execUrl(streaming, never), [V5]);
  client.socket.write(Buffer.from([0x82, 0x01, 0x00]));
  assert.equal(await client.closed, 1002);
});

test('a failed operation sends its error to the client', async (t) => {
  const { streaming } = await setUp(t);
  const url = execUrl(streaming, () => Promise.reject(new Error('no such command')));
  const client = await openWebSocket(url, ['channel.k8s.io']);
  assert.equal(await client.closed, 1000);
  assert.equal(client.received(3).toString(), 'no such command');
});

test('a session without traffic ends after the idle time', async (t) => {
  const { streaming } = await setUp(t, { stream_idle_timeout: '100ms' });
  const client = await openWebSocket(execUrl(streaming, never), [V5]);
  assert.equal(await client.closed, 1006);
});

test('terminal sizes arrive, the last one also at a late listener', async (t) => {
  const { streaming } = await setUp(t);
  let sizes: Promise<unknown> | undefined;
  const url = execUrl(
    streaming,
    (client) => {
      sizes = new Promise((resolve) => setTimeout(() => client.onResize(resolve), 200));
      return never(client);
    },
    { ...STREAMS, stderr: false, tty: true },
  );
  const client = await openWebSocket(url, [V5]);
  client.send(4, '{"Width":80,"Height":24}{"Width":0,"Height":0}{"Wid');
  client.send(4, 'th":132,"Height":43}\n');
  await until(() => sizes !== undefined);
  assert.deepEqual(await sizes, { width: 132, height: 43 });
  client.socket.destroy();
});

test('over TLS with a key pair of its own', async (t) => {
  const { streaming } = await setUp(t, { enable_tls_streaming: true });
  const url = execUrl(streaming, () => Promise.resolve({ kind: 'exited', exitCode: 0 }));
  assert.match(url, /^https:/);
  assert.equal(await (await openWebSocket(url, [V5])).closed, 1000);
  const { cert } = selfSigned();
  const certificate = new X509Certificate(cert);
  assert.deepEqual([certificate.subject, certificate.verify(certificate.publicKey)], ['CN=crid streaming', true]);
});

test('over IPv6', async (t) => {
  const { streaming } = await setUp(t, { stream_server_address: '::1' });
  const url = execUrl(streaming, () => Promise.resolve({ kind: 'exited', exitCode: 0 }));
  assert.match(url, /^http:\/\/\[::1\]:/);
  assert.equal(await (await openWebSocket(url, [V5])).closed, 1000);
});

test('closing ends every session, and leaves no descriptor', async (t) => {
  const before = readdirSync('/proc/self/fd').length;
  const { streaming, fifo } = await setUp(t);
  const gone: Promise<unknown>[] = [];
  const clients = [];
  for (let index = 0; index < 20; index += 1) {
    const stdout = fifo(`out-${index}`);
    const url = execUrl(streaming, async (client) => {
      await client.read({ stdout });
      await once(client.signal, 'abort');
      throw client.signal.reason;
    });
    const client = await openWebSocket(url, [V5]);
    gone.push(client.closed);
    clients.push(client);
  }
  await streaming.close();
  assert.deepEqual(new Set(await Promise.all(gone)), new Set([1006]));
  for (const client of clients) client.socket.destroy();
  await until(() => readdirSync('/proc/self/fd').length <= before);
});

async function until(predicate: () => boolean): Promise<void> {
  while (!predicate()) await new Promise((resolve) => setTimeout(resolve, 10));
}

const digest = (bytes: Buffer): string => createHash('sha256').update(bytes).digest('hex');
