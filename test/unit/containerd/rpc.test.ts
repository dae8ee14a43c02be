import assert from 'node:assert/strict';
import { mkdtemp, rm } from 'node:fs/promises';
import { constants, createServer, type ClientHttp2Session, type Http2Server, type ServerHttp2Stream } from 'node:http2';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test, type TestContext } from 'node:test';
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { CriError } from '../../../src/base/errors.js';
import { framed, MAX_GRPC_BYTES } from '../../../src/base/grpc-message.js';
import { openChannel } from '../../../src/containerd/channel.js';
import { RpcError, startStreaming, startUnary } from '../../../src/containerd/rpc.js';

const HEADERS = { ':method': 'POST', ':path': '/a.b.C/D', 'content-type': 'application/grpc', te: 'trailers' };
const NEVER = new AbortController().signal;

/** A session with an HTTP/2 server that answers each call with `answer`. */
async function connected(t: TestContext, answer: (stream: ServerHttp2Stream) => void) {
  const folder = await mkdtemp(join(tmpdir(), 'crid-rpc-'));
  const path = join(folder, 'socket');
  const server: Http2Server = createServer({ maxSessionMemory: 100 });
  server.on('stream', (stream) => {
    stream.on('error', () => undefined);
    answer(stream);
  });
  await new Promise<void>((resolve) => server.listen(path, resolve));
  const channel = openChannel(path);
  t.after(async () => {
    channel.close();
    server.close();
    await rm(folder, { recursive: true });
  });
  return channel;
}

/** Sends messages in pieces, and then a status. */
function respond(stream: ServerHttp2Stream, pieces: readonly Buffer[], status: Record<string, string>): void {
  stream.respond({ ':status': 200, 'content-type': 'application/grpc' }, { waitForTrailers: true });
  stream.once('wantTrailers', () => stream.sendTrailers(status));
  for (const piece of pieces) stream.write(piece);
  stream.end();
}

setFlagsFromString('--expose-gc');
const collectGarbage = runInNewContext('gc') as () => void;

const failure = async (work: Promise<unknown>): Promise<string> =>
  work.then(
    () => 'no failure',
    (thrown: unknown) => {
      if (thrown instanceof CriError) return `${thrown.code} ${thrown.message}`;
      assert.ok(thrown instanceof RpcError, String(thrown));
      return `${thrown.code} ${thrown.details}${thrown.neverSent ? ' (never sent)' : ''}`;
    },
  );

test('a message may come in pieces that begin and end anywhere', async (t) => {
  const messages = [Buffer.from('one'), Buffer.alloc(0), Buffer.alloc(200_000, 'x'), Buffer.from('last')];
  const bytes = Buffer.concat(messages.map(framed));
  const pieces = [bytes.subarray(0, 3), bytes.subarray(3, 10), bytes.subarray(10, 100_000), bytes.subarray(100_000)];
  const channel = await connected(t, (stream) => respond(stream, pieces, { 'grpc-status': '0' }));
  const session = await channel.connected(5_000, NEVER);
  const received: Buffer[] = [];
  for await (const each of startStreaming(session, HEADERS, Buffer.from('ask')).messages) received.push(each);
  assert.deepEqual(received, messages);
});

test('the status decides, with its text decoded; a stream without one is cut off', async (t) => {
  const answers: ((stream: ServerHttp2Stream) => void)[] = [
    (stream) => respond(stream, [framed(Buffer.from('yes'))], { 'grpc-status': '0' }),
    (stream) => respond(stream, [], { 'grpc-status': '5', 'grpc-message': 'no%20%C3%A4' }),
    (stream) => stream.respond({ ':status': 200, 'grpc-status': '9', 'grpc-message': 'not now' }, { endStream: true }),
    (stream) => respond(stream, [], { 'grpc-status': '0' }),
    (stream) => stream.respond({ ':status': 404 }, { endStream: true }),
    (stream) => stream.close(constants.NGHTTP2_REFUSED_STREAM),
    (stream) => stream.close(constants.NGHTTP2_INTERNAL_ERROR),
    (stream) => stream.session?.destroy(),
  ];
  const channel = await connected(t, (stream) => answers.shift()?.(stream));
  const results: string[] = [];
  while (answers.length > 0) {
    const session = await channel.connected(5_000, NEVER);
    const { response } = startUnary(session, HEADERS, Buffer.from('ask'));
    results.push(await failure(response));
  }
  assert.deepEqual(
    results.map((text) => text.replace(/: .*/, '')),
    [
      'no failure',
      '5 no ä',
      '9 not now',
      'INTERNAL received no message',
      '2 no gRPC status, HTTP status 404',
      '14 the call was cut off (HTTP/2 code 7)',
      '14 the call was cut off (HTTP/2 code 2, perhaps for an error text longer than 64 KiB)',
      '14 the call was cut off (HTTP/2 code 8)',
    ],
  );
  assert.match(results[5] ?? '', /never sent/);
});

test('a message above the limit fails the call', async (t) => {
  const prefix = Buffer.alloc(5);
  prefix.writeUInt32BE(MAX_GRPC_BYTES + 1, 1);
  const channel = await connected(t, (stream) => {
    stream.respond({ ':status': 200 }, { waitForTrailers: true });
    stream.write(prefix);
    for (let sent = 0; sent <= MAX_GRPC_BYTES; sent += 1 << 20) stream.write(Buffer.alloc(1 << 20));
  });
  const session = await channel.connected(5_000, NEVER);
  const tooLarge = `RESOURCE_EXHAUSTED received message larger than max (${MAX_GRPC_BYTES + 1} vs. ${MAX_GRPC_BYTES})`;
  assert.equal(await failure(startUnary(session, HEADERS, Buffer.from('ask')).response), tooLarge);
  assert.equal(await failure(startStreaming(session, HEADERS, Buffer.from('ask')).messages.next()), tooLarge);
});

test('a cancelled call ends at once, here and at the server, also when nothing is read', async (t) => {
  let ended = 0;
  const channel = await connected(t, (stream) => void stream.on('close', () => ended++));
  const session = await channel.connected(5_000, NEVER);
  const unary = startUnary(session, HEADERS, Buffer.from('ask'));
  const streaming = startStreaming(session, HEADERS, endless());
  const next = streaming.messages.next();
  unary.cancel();
  streaming.cancel();
  assert.deepEqual([await failure(unary.response), await failure(next)], ['1 cancelled', '1 cancelled']);
  while (ended < 2) await new Promise(setImmediate);
});

test('a consumer that stops tells the server', async (t) => {
  let ended = 0;
  const channel = await connected(t, (stream) => {
    stream.on('close', () => ended++);
    stream.respond({ ':status': 200 }, { waitForTrailers: true });
    stream.write(framed(Buffer.from('one')));
  });
  const session = await channel.connected(5_000, NEVER);
  for await (const each of startStreaming(session, HEADERS, Buffer.from('ask')).messages) {
    assert.equal(each.toString(), 'one');
    break;
  }
  while (ended < 1) await new Promise(setImmediate);
});

test('a connection that has ended, or has no numbers left for calls, is not used again', async (t) => {
  const channel = await connected(t, (stream) => respond(stream, [framed(Buffer.from('yes'))], { 'grpc-status': '0' }));
  const first = await channel.connected(5_000, NEVER);
  first.destroy();
  // Before its event `close`.
  assert.equal(channel.session, undefined);
  const second = await channel.connected(5_000, NEVER);
  assert.notEqual(second, first);
  (second as ClientHttp2Session & { setNextStreamID(id: number): void }).setNextStreamID(2 ** 31 - 1);
  assert.equal(await failure(startUnary(second, HEADERS, Buffer.from('ask')).response), 'no failure');
  assert.match(await failure(startUnary(second, HEADERS, Buffer.from('ask')).response), /^14 .*\(never sent\)$/);
  const third = await channel.connected(5_000, NEVER);
  assert.notEqual(third, second);
  assert.equal(await failure(startUnary(third, HEADERS, Buffer.from('ask')).response), 'no failure');
});

test('the messages of a long stream can be freed while it runs', async (t) => {
  let server: ServerHttp2Stream | undefined;
  const channel = await connected(t, (stream) => {
    server = stream;
    stream.respond({ ':status': 200 }, { waitForTrailers: true });
    stream.write(framed(Buffer.alloc(4)));
  });
  const session = await channel.connected(5_000, NEVER);
  const seen: WeakRef<ArrayBufferLike>[] = [];
  const call = startStreaming(session, HEADERS, Buffer.from('ask'));
  for await (const each of call.messages) {
    seen.push(new WeakRef(each.buffer));
    if (seen.length === 200) break;
    // Each message is a chunk of its own.
    setImmediate(() => server?.write(framed(Buffer.alloc(4))));
    if (seen.length < 199) continue;
    await new Promise(setImmediate);
    collectGarbage();
    const alive = new Set(seen.map((ref) => ref.deref()).filter(Boolean)).size;
    assert.ok(alive < 20, `${alive} chunks are alive`);
  }
});

test('an error of the outgoing messages ends the call', async (t) => {
  const channel = await connected(t, (stream) => stream.respond({ ':status': 200 }, { waitForTrailers: true }));
  const session = await channel.connected(5_000, NEVER);
  async function* failing(): AsyncGenerator<Uint8Array> {
    yield Buffer.from('first');
    await new Promise(setImmediate);
    throw new CriError('INVALID_ARGUMENT', 'no second one');
  }
  assert.equal(
    await failure(startStreaming(session, HEADERS, failing()).messages.next()),
    'INVALID_ARGUMENT no second one',
  );
});

async function* endless(): AsyncGenerator<Uint8Array> {
  yield Buffer.from('first');
  await new Promise(() => undefined);
}
