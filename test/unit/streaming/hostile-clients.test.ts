import assert from 'node:assert/strict';
import { once } from 'node:events';
import type { AddressInfo } from 'node:net';
import { connect, type Socket } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import { test, type TestContext } from 'node:test';
import { deflateRawSync } from 'node:zlib';
import { createHttpServer, type Candidate } from '../../../src/streaming/worker/http-server.js';
import { selfSigned } from '../../../src/streaming/server/self-signed.js';
import {
  CONTROL,
  controlFrame,
  createSpdyFrameReader,
  dataHeader,
} from '../../../src/streaming/worker/spdy/spdy-frames.js';
import { OPCODE } from '../../../src/streaming/worker/websocket/websocket-frames.js';
import { until } from '../../../tools/stack/wait.js';
import { closed, room } from '../../harness/streaming/command-client.js';
import { upgrade } from '../../harness/streaming/upgrade.js';
import { openMessages } from '../../harness/streaming/websocket-messages.js';
import { openWebSocket } from '../../harness/streaming/websocket-client.js';
import {
  headerDeflater,
  pieces,
  randomBuffer,
  seeded,
  synStream,
  webSocketFrame,
} from '../../harness/streaming/wire.js';
import { execUrl, never, setUp } from './own-server.js';

/**
 * Malicious and broken clients: they must be disconnected with a reason, use bounded memory, and disturb no other
 * client.
 */

const MIB = 1024 * 1024;
const LIMIT_MS = 10_000;
const V5 = 'v5.channel.k8s.io';

/** Starts only the HTTP server, with shorter timeouts. */
async function startFace(t: TestContext, onCandidate = ({ socket }: Candidate): void => void socket.destroy()) {
  const upgraded: string[] = [];
  const server = createHttpServer({ tls: undefined }, (candidate) => {
    upgraded.push(candidate.token);
    onCandidate(candidate);
  });
  const patience = { headersMs: server.headersTimeout, requestMs: server.requestTimeout };
  server.headersTimeout = server.requestTimeout = 300;
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  t.after(() => server.close());
  const open = (more?: { allowHalfOpen: boolean }): Socket =>
    connect({ port: (server.address() as AddressInfo).port, host: '127.0.0.1', ...more }).on('error', () => undefined);
  const connections = (): Promise<number> =>
    new Promise((resolve, reject) => server.getConnections((error, count) => (error ? reject(error) : resolve(count))));
  return { open, connections, upgraded, patience, server };
}

/** Returns everything that arrives until the server closes the connection. */
async function answerOf(socket: Socket): Promise<string> {
  const chunks: Buffer[] = [];
  socket.on('data', (chunk) => chunks.push(chunk));
  await closed(socket);
  return Buffer.concat(chunks).toString('latin1');
}

const REQUEST = [
  `GET /exec/${'A'.repeat(43)} HTTP/1.1`,
  'Host: x',
  'Connection: Upgrade',
  'Upgrade: websocket',
  'Sec-WebSocket-Version: 13',
  'Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==',
  `Sec-WebSocket-Protocol: ${V5}`,
  '',
  '',
].join('\r\n');

const WEBSOCKET = REQUEST.split('\r\n').slice(3, 7);
const SPDY = ['Upgrade: SPDY/3.1', 'X-Stream-Protocol-Version: v4.channel.k8s.io'];
const PROTOCOL_ERROR = 1;

test('clients that send nothing, or a byte now and then, are closed with an error', async (t) => {
  const { open, connections, patience } = await startFace(t);
  assert.deepEqual(patience, { headersMs: 10_000, requestMs: 10_000 });
  const silent = Array.from({ length: 50 }, () => open());
  const slow = Array.from({ length: 50 }, () => open());
  const answers = Promise.all([...silent, ...slow].map(answerOf));
  const typing = setInterval(() => slow.forEach((socket, at) => socket.write(REQUEST.charAt(at % 20))), 20);
  const all = await answers.finally(() => clearInterval(typing));
  assert.deepEqual(new Set(all.slice(0, 50).map((text) => text.slice(0, 13))), new Set(['HTTP/1.1 408 ']));
  // These clients send a letter now and then, which makes no valid request: the server may notice that first.
  for (const text of all.slice(50)) assert.match(text, /^HTTP\/1.1 40[08] /);
  assert.equal(await connections(), 0);
});

test('a TLS handshake takes no longer than headers may', async (t) => {
  const server = createHttpServer({ tls: selfSigned() }, () => undefined, 300).listen(0, '127.0.0.1');
  t.after(() => server.close());
  await once(server, 'listening');
  const socket = connect((server.address() as AddressInfo).port, '127.0.0.1');
  // Far below Node's default of 120 s.
  const late = setTimeout(() => socket.destroy(new Error('not told to go')), LIMIT_MS);
  await answerOf(socket).finally(() => clearTimeout(late));
  assert.equal(socket.errored, null);
});

test('a client that is refused gets an error and is closed, whatever it still sends', async (t) => {
  const { open, connections } = await startFace(t);
  const socket = open({ allowHalfOpen: true });
  t.after(() => socket.destroy());
  let answer = '';
  socket.on('data', (bytes: Buffer) => (answer += bytes.toString()));
  socket.write(REQUEST.replace('/exec/', '/nowhere/'));
  await until('it is answered', LIMIT_MS, () => answer.startsWith('HTTP/1.1 404 ') || undefined);
  const typing = setInterval(() => socket.write('x'), 20);
  t.after(() => clearInterval(typing));
  await until('it is closed', LIMIT_MS, async () => (await connections()) === 0 || undefined);
});

test('connections beyond the limit are closed at once, and accepted again when others have ended', async (t) => {
  const { open, connections, server } = await startFace(t);
  const bound = server.maxConnections;
  server.maxConnections = 2;
  server.headersTimeout = server.requestTimeout = LIMIT_MS;
  const held = [open(), open()];
  await until('both are taken', LIMIT_MS, async () => (await connections()) === 2 || undefined);
  const beyond = await answerOf(open());
  for (const socket of held) socket.destroy();
  await until('they have ended', LIMIT_MS, async () => (await connections()) === 0 || undefined);
  const next = open();
  const answered = answerOf(next);
  next.write(REQUEST.replace('/exec/', '/nowhere/'));
  assert.deepEqual([bound, beyond, (await answered).slice(0, 12)], [4096, '', 'HTTP/1.1 404']);
});

test('headers without end are refused before they are kept', async (t) => {
  const { open, connections, upgraded } = await startFace(t);
  const bombs = [
    `GET /${'x'.repeat(MIB)} HTTP/1.1\r\n\r\n`,
    REQUEST.replace('Host: x', `X-Bomb: ${'x'.repeat(MIB)}`),
    REQUEST.replace('Host: x', Array.from({ length: 50_000 }, (_, index) => `X-${index}: y`).join('\r\n')),
  ];
  for (const bomb of bombs) {
    const socket = open();
    const answered = answerOf(socket);
    socket.write(bomb);
    assert.match(await answered, /^HTTP\/1.1 431 /);
  }
  assert.deepEqual([await connections(), upgraded], [0, []]);
});

test('truncated, changed and empty requests end in a response or a close', async (t) => {
  const { open, connections, upgraded } = await startFace(t);
  for (let seed = 0; seed < 300; seed += 50) {
    await Promise.all(
      Array.from({ length: 50 }, async (_, index) => {
        const random = seeded(seed + index);
        const bytes = random() < 0.2 ? randomBuffer(300, random) : Buffer.from(REQUEST);
        for (let flips = Math.floor(random() * 6); flips > 0; flips -= 1) {
          bytes[Math.floor(random() * bytes.length)] = Math.floor(random() * 256);
        }
        const whole = bytes.subarray(0, random() < 0.5 ? Math.floor(random() * bytes.length) : bytes.length);
        const socket = open();
        const answered = answerOf(socket);
        for (const piece of pieces(Buffer.from(whole), random, 80)) socket.write(piece);
        socket.end();
        assert.match(await answered, /^(HTTP\/1.1 [45]\d\d |$)/, `seed ${seed + index}`);
      }),
    );
  }
  assert.equal(await connections(), 0);
  assert.ok(upgraded.length > 0, 'some came through whole');
});

test('a client that leaves before its response is noticed', async (t) => {
  const ends = [(socket: Socket) => void socket.end(), (socket: Socket) => void socket.destroy()];
  for (const end of ends) {
    const candidates: Candidate[] = [];
    t.after(() => candidates.forEach(({ socket }) => socket.destroy()));
    const { open, connections } = await startFace(t, (candidate) => void candidates.push(candidate));
    const client = open();
    client.write(REQUEST);
    await until('the request is read', LIMIT_MS, async () => candidates.length > 0 || undefined);
    end(client);
    await until('the connection is closed', LIMIT_MS, async () => (await connections()) === 0 || undefined);
    assert.equal(candidates[0]?.socket.destroyed, true);
  }
});

/** Sends bytes after the upgrade. Returns the status of the server's GOAWAY. */
async function overSpdy(url: string, bytes: Iterable<Buffer>): Promise<number | undefined> {
  const { head, socket } = await upgrade(url, SPDY, 'POST');
  assert.match(head, /^HTTP\/1.1 101 /);
  let status: number | undefined;
  const onControl = (type: number, _flags: number, payload: Buffer): void => {
    if (type === CONTROL.goAway) status = payload.readUInt32BE(4);
  };
  socket.on('data', createSpdyFrameReader({ onData: () => undefined, onControl }));
  socket.resume();
  for (const piece of bytes) socket.write(piece);
  await new Promise((resolve) => socket.once('end', resolve).once('close', resolve));
  socket.destroy();
  return status;
}

/** The same over a WebSocket. Returns the close code. */
async function overWebSocket(url: string, protocol: string, bytes: Iterable<Buffer>): Promise<number> {
  const client = await openMessages(url, [protocol], () => undefined);
  for (const piece of bytes) client.socket.write(piece);
  return client.closed.finally(() => client.socket.destroy());
}

test('oversized, reordered and invalid frames close a WebSocket with a code', async (t) => {
  const { streaming } = await setUp(t);
  const base64 = 'v4.base64.channel.k8s.io';
  const cases: [string, Buffer, number, string?][] = [
    ['a frame of 2^62 bytes', Buffer.from([0x82, 0xff, 0x40, 0, 0, 0, 0, 0, 0, 0, 1, 2, 3, 4]), 1009],
    ['a continuation of nothing', webSocketFrame(OPCODE.continuation, 'x'), 1002],
    ['a message in a message', Buffer.concat([webSocketFrame(2, '0a', false), webSocketFrame(2, '0b')]), 1002],
    ['a ping of many bytes', webSocketFrame(OPCODE.ping, 'x'.repeat(1000)), 1002],
    ['the end of two channels', webSocketFrame(OPCODE.binary, Buffer.from([255, 0, 1])), 1002],
    ['base64 without end', webSocketFrame(OPCODE.text, `0${'A'.repeat(2 * MIB)}`), 1009, base64],
    ['no mask', Buffer.from([0x82, 1, 0]), 1002],
    ['SPDY', Buffer.from([0x80, 3, 0, 1, 0, 0, 0, 10]), 1002],
  ];
  for (const [name, bytes, code, protocol = V5] of cases) {
    assert.equal(await overWebSocket(execUrl(streaming, never), protocol, [bytes]), code, name);
  }
});

test('oversized, reordered and invalid frames close a SPDY connection with a status', async (t) => {
  const { streaming } = await setUp(t);
  const before = process.memoryUsage.rss();
  // 64 MiB of zeros, compressed to 64 KiB.
  const bomb = Buffer.concat([Buffer.from([0x78, 0x01]), deflateRawSync(Buffer.alloc(64 * MIB)).subarray(0, 65_000)]);
  const deflate = headerDeflater();
  const [first, second] = [await deflate({ streamType: 'error' }), await deflate({ streamType: 'stdin' })];
  const cases: [string, Buffer][] = [
    ['a control frame of 16 MiB', Buffer.from([0x80, 3, 0, 1, 0, 0xff, 0xff, 0xff])],
    ['headers that inflate without end', synStream(1, bomb)],
    ['headers that are no zlib stream', synStream(1, Buffer.from('no zlib stream'))],
    ['ids that go down', Buffer.concat([synStream(3, first), synStream(1, second)])],
    ['headers of a block that never came', synStream(1, second)],
    ['a WebSocket frame', webSocketFrame(OPCODE.binary, Buffer.alloc(100, 0xff))],
  ];
  for (const [name, bytes] of cases) {
    assert.equal(await overSpdy(execUrl(streaming, never), [bytes]), PROTOCOL_ERROR, name);
  }
  for (let count = 0; count < 100; count++) await overSpdy(execUrl(streaming, never), [synStream(1, bomb)]);
  assert.ok(process.memoryUsage.rss() - before < 300 * MIB);
});

test('random frames are tolerated or close the connection, and other clients are served', async (t) => {
  const { streaming } = await setUp(t);
  const good = await openWebSocket(execUrl(streaming, never), [V5]);
  let answered = 0;
  const deflate = headerDeflater();
  const valid = {
    spdy: Buffer.concat([
      synStream(1, await deflate({ streamType: 'error' })),
      synStream(3, await deflate({ streamType: 'stdin' })),
      ...[dataHeader(3, 4, false), Buffer.from('data'), controlFrame(CONTROL.ping, 0, 1)],
      ...[controlFrame(CONTROL.rstStream, 0, 3, 5), dataHeader(3, 0, true)],
    ]),
    websocket: Buffer.concat([
      webSocketFrame(OPCODE.binary, '\0data'),
      webSocketFrame(OPCODE.ping, 'x'),
      webSocketFrame(OPCODE.binary, '\xff\0'),
    ]),
  };
  const SESSIONS = 400;
  for (let at = 0; at < SESSIONS; at += 50) {
    await Promise.all(
      Array.from({ length: 50 }, async (_, index) => {
        const random = seeded(at + index);
        const kind = random() < 0.5 ? 'spdy' : 'websocket';
        const bytes = random() < 0.2 ? randomBuffer(200, random) : Buffer.from(valid[kind]);
        for (let flips = Math.floor(random() * 5); flips > 0; flips -= 1) {
          bytes[Math.floor(random() * bytes.length)] = Math.floor(random() * 256);
        }
        const headers = kind === 'spdy' ? SPDY : WEBSOCKET;
        const { head, socket } = await upgrade(execUrl(streaming, never), headers, kind === 'spdy' ? 'POST' : 'GET');
        assert.match(head, /^HTTP\/1.1 101 /);
        for (const piece of pieces(bytes, random, 60)) socket.write(piece);
        // Input that leaves the connection open waits for more bytes. Ending the client's side closes it.
        socket.end();
        socket.resume();
        await closed(socket);
        answered += 1;
      }),
    );
  }
  assert.equal(answered, SESSIONS);
  good.send(0, 'still here');
  assert.equal(good.socket.destroyed, false);
  good.socket.destroy();
});

test('endless pings from a client that does not read do not get endless replies', async (t) => {
  const { streaming } = await setUp(t);
  const { socket } = await upgrade(execUrl(streaming, never), WEBSOCKET);
  socket.pause();
  const many = Buffer.concat(Array.from({ length: 1000 }, () => webSocketFrame(OPCODE.ping, 'x'.repeat(125))));
  const most = 200 * MIB;
  const flooding = (async () => {
    while (socket.bytesWritten < most && !socket.destroyed) await room(socket, socket.write(many));
  })();
  // The server has stopped reading if nothing moves for a second.
  for (let last = -1; last !== socket.bytesWritten - socket.writableLength;) {
    last = socket.bytesWritten - socket.writableLength;
    await sleep(1_000);
  }
  assert.ok(socket.bytesWritten < most / 2, `${socket.bytesWritten} bytes were taken`);
  socket.destroy();
  await flooding;
});
