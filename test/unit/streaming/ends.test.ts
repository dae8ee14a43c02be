import assert from 'node:assert/strict';
import { once } from 'node:events';
import { connect, type Socket } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import { test, type TestContext } from 'node:test';
import { createLogger } from '../../../src/base/log.js';
import { defaultConfig } from '../../../src/config/schema.js';
import { createStreaming } from '../../../src/streaming/create-streaming.js';
import { until } from '../../../tools/stack/wait.js';
import { upgrade } from '../../harness/streaming/upgrade.js';
import { execUrl, never, setUp } from './own-server.js';
import { BEHAVIOUR, CELL } from './stubborn-behaviour.js';

/** Stops of the server in every state of its clients and its thread, and the expiry of URLs. */

const LIMIT_MS = 5_000;
const SETTLE_MS = 10_000;
const SPDY = ['Upgrade: SPDY/3.1', 'X-Stream-Protocol-Version: v4.channel.k8s.io'];

/** Opens a connection and sends `bytes`. It stays open when the server ends its side. */
async function open(t: TestContext, url: string, bytes = ''): Promise<Socket> {
  const { port } = new URL(url);
  const socket = connect({ port: Number(port), host: '127.0.0.1', allowHalfOpen: true });
  socket.on('error', () => undefined);
  t.after(() => socket.destroy());
  await once(socket, 'connect');
  socket.write(bytes);
  return socket;
}

test('a stop waits for no client: not for a handshake, a request or the end of a refused one', async (t) => {
  for (const tls of [true, false]) {
    const { streaming } = await setUp(t, { enable_tls_streaming: tls });
    const url = execUrl(streaming, never);
    const { socket: served } = await upgrade(url, SPDY, 'POST');
    const { socket: refused } = await upgrade(url, SPDY, 'POST');
    t.after(() => [served, refused].forEach((socket) => socket.destroy()));
    await open(t, url);
    await open(t, url, 'GET / HT');
    const since = performance.now();
    await streaming.close();
    const tookMs = performance.now() - since;
    assert.ok(tookMs < LIMIT_MS, `${tookMs} ms`);
  }
});

/** Starts a server with a thread that ignores `stop`. Returns a check of whether one of its threads lives. */
async function startStubborn(behaviour: number) {
  const log = createLogger('error');
  log.level = 'silent';
  const cells = new Int32Array(new SharedArrayBuffer(8));
  cells[CELL.behaviour] = behaviour;
  const workerUrl = new URL('./stubborn-worker.js', import.meta.url);
  const streaming = await createStreaming({ config: defaultConfig(), log, callsUnderWay: cells, workerUrl });
  const beats = (): number => Atomics.load(cells, CELL.beats);
  return { streaming, beats, behaviour: () => Atomics.load(cells, CELL.behaviour) };
}

/** Closes the server with a mocked clock, so that the thread's time limit passes at once. */
async function closeLate(t: TestContext, streaming: { close(): Promise<void> }): Promise<void> {
  t.mock.timers.enable({ apis: ['setTimeout'] });
  const closing = streaming.close();
  t.mock.timers.tick(SETTLE_MS);
  t.mock.timers.reset();
  await closing;
}

async function assertStill(beats: () => number): Promise<void> {
  const last = beats();
  await sleep(100);
  assert.equal(beats(), last);
}

test('a thread that does not end is terminated', async (t) => {
  const { streaming, beats } = await startStubborn(BEHAVIOUR.listens);
  await closeLate(t, streaming);
  await assertStill(beats);
});

test('a thread that is being restarted is terminated too', async (t) => {
  const { streaming, beats, behaviour } = await startStubborn(BEHAVIOUR.dies);
  await until('the next one starts', LIMIT_MS, () => behaviour() < BEHAVIOUR.starts || undefined);
  await closeLate(t, streaming);
  await assertStill(beats);
});

test('a URL is valid for 60 s', async (t) => {
  const { streaming } = await setUp(t);
  const urls = [execUrl(streaming, never), execUrl(streaming, never)];
  const now = performance.now.bind(performance);
  let laterMs = 59_000;
  t.mock.method(performance, 'now', () => now() + laterMs);
  const heads: string[] = [];
  for (const url of urls) {
    const { head, socket } = await upgrade(url, SPDY, 'POST');
    socket.destroy();
    heads.push(head.slice(0, 12));
    laterMs = 60_000;
  }
  assert.deepEqual(heads, ['HTTP/1.1 101', 'HTTP/1.1 404']);
});
