import assert from 'node:assert/strict';
import { once } from 'node:events';
import { connect, createServer, type AddressInfo, type Socket } from 'node:net';
import { test, type TestContext } from 'node:test';
import { connect as connectTls, createServer as createTlsServer } from 'node:tls';
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { until } from '../../../../tools/stack/wait.js';
import { unacknowledged } from '../../../../src/host/pipe/send-queue.js';
import { selfSigned } from '../../../../src/streaming/server/self-signed.js';
import {
  createClientConnection,
  type ClientConnection,
  type ClientConnectionEvents,
} from '../../../../src/streaming/worker/client-connection.js';
import { createThrottle } from '../../../../src/streaming/worker/throttle.js';

setFlagsFromString('--expose-gc');
const collect = runInNewContext('gc') as () => void;
const LIMIT_MS = 5_000;

async function connected(t: TestContext, tls = false): Promise<{ client: Socket; socket: Socket }> {
  const server = (tls ? createTlsServer(selfSigned()) : createServer()).listen(0, '127.0.0.1');
  t.after(() => server.close());
  await once(server, 'listening');
  const options = { port: (server.address() as AddressInfo).port, host: '127.0.0.1', allowHalfOpen: true };
  const client = tls ? connectTls({ ...options, rejectUnauthorized: false }) : connect(options);
  t.after(() => client.destroy());
  const [socket] = (await once(server, tls ? 'secureConnection' : 'connection')) as [Socket];
  return { client, socket };
}

const NO_EVENTS: ClientConnectionEvents = {
  onBytes: () => undefined,
  onClosed: () => undefined,
  probe: () => undefined,
};

/** Runs `act` with a link and its client. Returns the reason for which the link closed. */
async function closed(t: TestContext, act: (link: ClientConnection, client: Socket) => void) {
  const { client, socket } = await connected(t);
  const reason = await new Promise<string>((onClosed) => {
    const events = { ...NO_EVENTS, onClosed };
    act(
      createClientConnection(socket, { idleTimeoutMs: 0, throttle: createThrottle(Int32Array.of(0)) }, events),
      client,
    );
  });
  return { reason, socket: new WeakRef(socket) };
}

test('a link closes with a reason when its time limit has passed, and only then', async (t) => {
  const { reason } = await closed(t, (link) => {
    link.destroyAfter(10, () => 'kept')();
    link.destroyAfter(50, () => 'too late');
  });
  assert.equal(reason, 'too late');
});

test('a closed link has no pending time limits', async (t) => {
  const { socket } = await closed(t, (link, client) => {
    link.destroyAfter(60_000, () => 'too late');
    link.end();
    client.resetAndDestroy();
  });
  await until('it is collected', LIMIT_MS, () => {
    collect();
    return socket.deref() === undefined ? true : undefined;
  });
});

/** If the client does not read, the first size fits into the kernel's buffers and the second does not. */
const SIZES = [1024 * 1024, 16 * 1024 * 1024];

/**
 * Sends everything and ends the link, to a client that sends too and is not read. First `atOnce` runs; then `ms` pass
 * for the link's time limits, while the connections work; then the client reads to the end.
 */
async function sendAll(
  t: TestContext,
  { bytes, tls = false, idleTimeoutMs = 0, ms }: { bytes: number; tls?: boolean; idleTimeoutMs?: number; ms: number },
  atOnce: (client: Socket, socket: Socket) => Promise<unknown> = () => Promise.resolve(),
): Promise<{ came: number; closedInTime: boolean }> {
  const { client, socket } = await connected(t, tls);
  const ended = Promise.all([once(client, 'close'), once(socket, 'close')]);
  let came = 0;
  client.pause();
  client.on('data', (bytes: Buffer) => (came += bytes.length));
  client.on('error', () => undefined);
  t.mock.timers.enable({ apis: ['setTimeout'] });
  const link = createClientConnection(socket, { idleTimeoutMs, throttle: createThrottle(Int32Array.of(0)) }, NO_EVENTS);
  client.write('unread');
  link.send(Buffer.alloc(bytes, 'to the end'));
  link.end();
  await atOnce(client, socket);
  for (let passedMs = 0; passedMs < ms; passedMs += 1_000) {
    t.mock.timers.tick(1_000);
    await new Promise(setImmediate);
  }
  const closedInTime = socket.destroyed;
  t.mock.timers.reset();
  client.resume().end();
  await ended;
  return { came, closedInTime };
}

test('a slow client gets all data that was sent before the end', async (t) => {
  for (const bytes of SIZES) {
    for (const tls of [false, true]) {
      assert.deepEqual(await sendAll(t, { bytes, tls, ms: 60_000 }), { came: bytes, closedInTime: false });
    }
  }
});

test('a client that reads nothing any more is closed after the idle time', async (t) => {
  for (const bytes of SIZES) {
    assert.equal((await sendAll(t, { bytes, idleTimeoutMs: 60_000, ms: 90_000 })).closedInTime, true);
  }
});

test('a client that has all data and keeps its end open is closed too', async (t) => {
  const ended = async (client: Socket, socket: Socket): Promise<void> => {
    await once(client.resume(), 'end');
    // The kernel may take some ms to acknowledge the end.
    while (unacknowledged(socket) > 0) await new Promise(setImmediate);
  };
  for (const bytes of SIZES) {
    assert.deepEqual(await sendAll(t, { bytes, ms: 30_000 }, ended), { came: bytes, closedInTime: true });
  }
});
