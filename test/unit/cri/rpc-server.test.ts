import { Client, credentials, Metadata, type ServiceError } from '@grpc/grpc-js';
import assert from 'node:assert/strict';
import { existsSync } from 'node:fs';
import { mkdtemp, rm } from 'node:fs/promises';
import { connect } from 'node:http2';
import { connect as connectSocket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test, type TestContext } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { VersionRequest, VersionResponse, RuntimeServiceDefinition } from '../../../generated/runtime/v1/api.js';
import { withResolvers } from '../../../src/base/async.js';
import { framed, MAX_GRPC_BYTES } from '../../../src/base/grpc-message.js';
import { createLogger } from '../../../src/base/log.js';
import { serve } from '../../../src/cri/server.js';
import { implement, type Handlers } from '../../../src/cri/service.js';

const PATH = '/runtime.v1.RuntimeService/Version';

async function serving(t: TestContext, handlers: Handlers<RuntimeServiceDefinition>) {
  const folder = await mkdtemp(join(tmpdir(), 'crid-server-'));
  const server = await serve({
    listen: join(folder, 'crid.sock'),
    socketGid: 0,
    services: [implement(RuntimeServiceDefinition, handlers)],
    log: createLogger('error'),
  });
  const client = new Client(`unix:${server.path}`, credentials.createInsecure(), {
    'grpc.max_send_message_length': -1,
    'grpc.max_receive_message_length': -1,
    'grpc.use_local_subchannel_pool': 1,
  });
  t.after(async () => {
    client.close();
    await server.stop(1_000);
    await rm(folder, { recursive: true });
  });
  const version = (text: string, path = PATH, metadata = new Metadata()): Promise<string> =>
    new Promise((resolve) => {
      const encode = (): Buffer => Buffer.from(VersionRequest.encode({ version: text }).finish());
      const decode = (bytes: Buffer): VersionResponse => VersionResponse.decode(bytes);
      client.makeUnaryRequest(path, encode, decode, undefined, metadata, (error: ServiceError | null, answer) =>
        resolve(error ? `${error.code} ${error.details}` : (answer?.runtime_name ?? '')),
      );
    });
  return { server, client, version };
}

const answerOf = (runtime_name: string): VersionResponse => VersionResponse.fromPartial({ runtime_name });

test('a message of any size up to the limit is answered; a larger one is refused in both directions', async (t) => {
  const { version } = await serving(t, {
    version: ({ version: text }) => answerOf(text === 'much' ? 'x'.repeat(MAX_GRPC_BYTES) : text),
  });
  const long = 'ä'.repeat(1 << 20);
  assert.equal(await version('short'), 'short');
  assert.equal((await version(long)) === long, true);
  assert.match(await version('x'.repeat(MAX_GRPC_BYTES)), /^8 received message larger than max/);
  assert.match(await version('much'), /^8 sent message larger than max/);
  assert.equal(await version('still'), 'still');
});

test('an unknown method, a bad message and a bad deadline are named', async (t) => {
  const { client, version } = await serving(t, { version: () => answerOf('crid') });
  assert.equal(await version('', '/a.B/C'), '12 the server has no method /a.B/C');
  const wrong = new Metadata();
  wrong.set('grpc-timeout', 'soon');
  assert.match(await version('', PATH, wrong), /^13 cannot read the request: .*grpc-timeout "soon"/);
  const bad = await new Promise<string>((resolve) => {
    client.makeUnaryRequest(
      PATH,
      () => Buffer.from([0x0a, 0x7f]),
      (bytes) => bytes,
      undefined,
      (error) => resolve(error?.details ?? ''),
    );
  });
  assert.match(bad, /^cannot read the request: /);
});

test('a client without gRPC or without HTTP/2 harms nobody', async (t) => {
  const { server, version } = await serving(t, { version: () => answerOf('crid') });
  const session = connect('http://localhost', { createConnection: () => connectSocket(server.path) });
  const statusOf = (headers: Record<string, string>, body: Buffer): Promise<unknown> =>
    new Promise((resolve) => {
      const stream = session.request({ ':path': PATH, ...headers });
      stream.once('response', (found) => resolve(found['grpc-status'] ?? found[':status']));
      stream.resume().end(body);
    });
  const grpc = { ':method': 'POST', 'content-type': 'application/grpc' };
  const compressed = framed(Buffer.from('x'));
  compressed[0] = 1;
  assert.deepEqual(
    [
      await statusOf({ ':method': 'POST', 'content-type': 'text/plain' }, Buffer.alloc(0)),
      await statusOf({ ':method': 'PUT', 'content-type': 'application/grpc' }, Buffer.alloc(0)),
      await statusOf(grpc, compressed),
      await statusOf({ ...grpc, 'grpc-encoding': 'gzip' }, compressed),
      await statusOf({ ...grpc, 'grpc-encoding': 'gzip' }, framed(Buffer.from(''))),
      await statusOf(grpc, framed(Buffer.from('xy')).subarray(0, 6)),
      await statusOf(grpc, Buffer.alloc(0)),
      await statusOf(grpc, Buffer.alloc(10)),
    ],
    [415, 415, '13', '12', 200, '13', '13', '13'],
  );
  session.close();
  const socket = connectSocket(server.path);
  socket.on('error', () => undefined).resume();
  await new Promise<void>((resolve) => socket.once('close', () => resolve()).end('GET / HTTP/1.1\r\n\r\n'));
  assert.equal(await version(''), 'crid');
});

test('a stop refuses new calls and waits for the running ones', async (t) => {
  const begun = withResolvers();
  const go = withResolvers();
  const { server, version } = await serving(t, {
    version: async () => {
      begun.resolve();
      await go.promise;
      return answerOf('crid');
    },
  });
  const running = version('');
  await begun.promise;
  const stopped = server.stop(5_000);
  while (existsSync(server.path)) await sleep(5);
  await sleep(50);
  assert.match(await version('late'), /^14 /);
  go.resolve();
  assert.deepEqual([await running, await stopped], ['crid', true]);
});

test('a client that leaves aborts its call', async (t) => {
  const begun = withResolvers();
  const aborted = withResolvers();
  const { client } = await serving(t, {
    version: async (_, { signal }) => {
      begun.resolve();
      signal?.addEventListener('abort', () => aborted.resolve());
      await aborted.promise;
      return answerOf('crid');
    },
  });
  const encode = (): Buffer => Buffer.alloc(0);
  const left = client.makeUnaryRequest(
    PATH,
    encode,
    (bytes) => bytes,
    undefined,
    () => undefined,
  );
  await begun.promise;
  left.cancel();
  await aborted.promise;
});

test('a stop ends a call that outlasts its time', async (t) => {
  const begun = withResolvers();
  const { server, version } = await serving(t, {
    version: async (_, { signal }) => {
      begun.resolve();
      await new Promise((resolve) => signal?.addEventListener('abort', resolve));
      throw new Error('aborted');
    },
  });
  const running = version('');
  await begun.promise;
  assert.equal(await server.stop(100), false);
  assert.match(await running, /^(1|14) /);
});
