import assert from 'node:assert/strict';
import { once } from 'node:events';
import type { Socket } from 'node:net';
import { describe, test, type TestContext } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import {
  PluginDefinition,
  RuntimeDefinition,
  SynchronizeRequest,
  UpdateContainersRequest,
} from '../../../generated/nri/v1alpha1/api.js';
import { Request, Response } from '../../../generated/ttrpc/request.js';
import { withResolvers } from '../../../src/base/async.js';
import { Code, CriError } from '../../../src/base/errors.js';
import { createTrunk, type Trunk } from '../../../src/ttrpc/trunk.js';
import { encodeFrames } from '../../../src/ttrpc/trunk-frame.js';
import {
  createTtrpcClient,
  MAX_CALLS_UNDER_WAY,
  MAX_QUEUED_BYTES,
  type TtrpcClient,
} from '../../../src/ttrpc/ttrpc-client.js';
import { PeerError } from '../../../src/ttrpc/ttrpc-errors.js';
import { encodeMessage, MessageType } from '../../../src/ttrpc/ttrpc-message.js';
import { methodOf } from '../../../src/ttrpc/ttrpc-method.js';
import {
  MAX_BYTES_SERVED,
  MAX_CALLS_SERVED,
  MAX_REFUSALS,
  serveTtrpc,
  type Handlers,
} from '../../../src/ttrpc/ttrpc-server.js';
import { socketPair } from './peers.js';

/** The code of a response without an error. */
const OK = 0;
const updateContainers = methodOf(RuntimeDefinition, 'updateContainers');
const synchronize = methodOf(PluginDefinition, 'synchronize');
const runtime: Handlers<typeof RuntimeDefinition> = {
  registerPlugin: async () => {
    throw new CriError('ALREADY_EXISTS', 'plugin "10-a" is already registered');
  },
  updateContainers: async ({ update }) => ({ failed: update }),
};
const update = (id: string) => UpdateContainersRequest.fromPartial({ update: [{ container_id: id }] });

interface Ends {
  readonly near: Trunk;
  readonly far: Trunk;
  readonly client: TtrpcClient;
}

/** Serves `handlers` at the far end of a connection, and calls them from the near end. */
async function connected(t: TestContext, handlers = runtime): Promise<Ends> {
  const [near, far] = (await socketPair(t)).map(createTrunk) as [Trunk, Trunk];
  serveTtrpc(far, 2, RuntimeDefinition, handlers);
  const client = createTtrpcClient(near, 2);
  near.read();
  far.read();
  return { near, far, client };
}

interface Served {
  readonly near: Trunk;
  /** The peer's socket. Nothing reads it before `responses` is called. */
  readonly far: Socket;
  /** Returns the next `count` responses, by stream. */
  responses(count: number): Promise<ReadonlyMap<number, Response>>;
}

/** Serves `handlers` at the near end of a connection. */
async function served(t: TestContext, handlers: Handlers<typeof RuntimeDefinition>): Promise<Served> {
  const [socket, far] = await socketPair(t);
  const near = createTrunk(socket);
  serveTtrpc(near, 2, RuntimeDefinition, handlers);
  near.read();
  const reader = createTrunk(far);
  let found = new Map<number, Response>();
  let onResponse = (): void => undefined;
  reader.open(2, ({ stream, data }) => {
    found.set(stream, Response.decode(data));
    onResponse();
  });
  return {
    near,
    far,
    responses: (count) =>
      new Promise((resolve) => {
        onResponse = () => {
          if (found.size < count) return;
          resolve(found);
          found = new Map();
        };
        reader.read();
      }),
  };
}

const code = (thrown: unknown): string => CriError.from(thrown).code;
const send = (socket: Socket, stream: number, type: number, data: Buffer, flags = 0): void =>
  void socket.write(Buffer.concat(encodeFrames(2, encodeMessage({ stream, type, flags, data }))));
const requestOf = (
  method: string,
  payload: Uint8Array,
  service: string = RuntimeDefinition.fullName,
  nano = 0n,
): Buffer =>
  Buffer.from(
    Request.encode({ service, method, payload: Buffer.from(payload), timeout_nano: nano, metadata: [] }).finish(),
  );
/** A turn of the event loop, whatever the clock says. */
const turn = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));

describe('a call', () => {
  test('returns the response, in whatever order the responses come', async (t) => {
    const { client } = await connected(t, {
      ...runtime,
      updateContainers: async ({ update }) => {
        await sleep(20 - Number(update[0]!.container_id));
        return { failed: update };
      },
    });
    const ids = Array.from({ length: 20 }, (_, index) => String(index));
    const responses = await Promise.all(
      ids.map((id) => client.call(updateContainers, update(id), { timeoutMs: 5_000 })),
    );
    assert.deepEqual(
      responses.map(({ failed }) => failed[0]!.container_id),
      ids,
    );
  });

  test('throws the error of the peer as a PeerError', async (t) => {
    const { client } = await connected(t);
    const call = client.call(methodOf(RuntimeDefinition, 'registerPlugin'), {} as never, { timeoutMs: 5_000 });
    await assert.rejects(call, (thrown) => {
      assert.ok(thrown instanceof PeerError);
      assert.deepEqual([thrown.code, thrown.message], ['ALREADY_EXISTS', 'plugin "10-a" is already registered']);
      return true;
    });
  });

  test('ends at its time limit, and the late response harms no other call', async (t) => {
    const { client, near } = await connected(t, {
      ...runtime,
      updateContainers: async ({ update }) => {
        await sleep(update[0]!.container_id === 'slow' ? 60 : 0);
        return { failed: update };
      },
    });
    await assert.rejects(client.call(updateContainers, update('slow'), { timeoutMs: 10 }), (thrown) => {
      assert.ok(!(thrown instanceof PeerError));
      return code(thrown) === 'DEADLINE_EXCEEDED';
    });
    await sleep(100);
    assert.equal(near.closed, undefined);
    assert.deepEqual(await client.call(updateContainers, update('a'), { timeoutMs: 5_000 }), {
      failed: update('a').update,
    });
  });

  test("aborts its handler at the caller's deadline", async (t) => {
    const aborted = withResolvers<unknown>();
    const { client } = await connected(t, {
      ...runtime,
      updateContainers: async (_, signal) => {
        await once(signal, 'abort');
        aborted.resolve(signal.reason);
        return { failed: [] };
      },
    });
    await assert.rejects(client.call(updateContainers, update('a'), { timeoutMs: 20 }));
    assert.equal(code(await aborted.promise), 'DEADLINE_EXCEEDED');
  });

  test('fails with UNAVAILABLE when the connection closes', async (t) => {
    const { client, far } = await connected(t, {
      ...runtime,
      updateContainers: () => {
        far.close(new CriError('UNAVAILABLE', 'enough'));
        return new Promise(() => undefined);
      },
    });
    const call = client.call(updateContainers, update('a'), { timeoutMs: 60_000 });
    await assert.rejects(call, /the peer closed the connection/);
    await assert.rejects(client.call(updateContainers, update('b'), { timeoutMs: 5_000 }), (thrown) => {
      return code(thrown) === 'UNAVAILABLE';
    });
  });

  test('has no time limit if timeoutMs is Infinity', async (t) => {
    const { client } = await connected(t);
    for (const timeoutMs of [Infinity, Number.MAX_VALUE])
      assert.deepEqual(await client.call(updateContainers, update('a'), { timeoutMs }), { failed: update('a').update });
  });

  test("cuts the text of the peer's error", async (t) => {
    const { client } = await connected(t, {
      ...runtime,
      updateContainers: async () => {
        throw new CriError('ABORTED', 'x'.repeat(5_000));
      },
    });
    const call = client.call(updateContainers, update('a'), { timeoutMs: 60_000 });
    await assert.rejects(call, { code: 'ABORTED', message: 'x'.repeat(4_096) });
  });

  test('closes the trunk when the ids of streams are used up', async (t) => {
    const [near, far] = (await socketPair(t)).map(createTrunk) as [Trunk, Trunk];
    serveTtrpc(far, 2, RuntimeDefinition, runtime);
    const client = createTtrpcClient(near, 2, { firstStream: 2 ** 32 - 1 });
    near.read();
    far.read();
    await client.call(updateContainers, update('a'), { timeoutMs: 60_000 });
    const call = client.call(updateContainers, update('b'), { timeoutMs: 60_000 });
    await assert.rejects(call, { code: 'UNAVAILABLE', message: 'all stream ids are used up' });
  });

  test('is refused before it is sent if it is too long or if too many calls are under way', async (t) => {
    const { client, near } = await connected(t, { ...runtime, updateContainers: () => new Promise(() => undefined) });
    const long = SynchronizeRequest.fromPartial({ pods: [{ id: 'x'.repeat(4 * 2 ** 20) }] });
    await assert.rejects(client.call(synchronize, long, { timeoutMs: 5_000 }), (thrown) => {
      return code(thrown) === 'RESOURCE_EXHAUSTED';
    });
    const calls = Array.from({ length: MAX_CALLS_UNDER_WAY + 1 }, () =>
      client.call(updateContainers, update('a'), { timeoutMs: 5_000 }).catch(code),
    );
    assert.equal(await calls.at(-1), 'RESOURCE_EXHAUSTED');
    near.close(new CriError('CANCELLED', 'the test has ended'));
    assert.deepEqual(new Set(await Promise.all(calls)), new Set(['CANCELLED', 'RESOURCE_EXHAUSTED']));
  });

  test('is refused if the peer does not read', async (t) => {
    const [near] = await socketPair(t);
    const trunk = createTrunk(near);
    const client = createTtrpcClient(trunk, 1);
    trunk.read();
    const large = SynchronizeRequest.fromPartial({ pods: [{ id: 'x'.repeat(3 * 2 ** 20) }] });
    const calls = Array.from({ length: 6 }, () => client.call(synchronize, large, { timeoutMs: 200 }).catch(code));
    assert.deepEqual(new Set(await Promise.all(calls)), new Set(['DEADLINE_EXCEEDED', 'RESOURCE_EXHAUSTED']));
    assert.ok(near.writableLength <= MAX_QUEUED_BYTES);
    assert.equal(trunk.closed, undefined);
  });
});

describe('a peer that breaks the protocol', () => {
  /** Returns why the trunk closes after the peer has written these bytes in response to a call. */
  async function closedBy(t: TestContext, write: (far: Socket) => void): Promise<string> {
    const [near, far] = await socketPair(t);
    const trunk = createTrunk(near);
    const client = createTtrpcClient(trunk, 2);
    trunk.read();
    const call = client.call(updateContainers, update('a'), { timeoutMs: 60_000 }).catch(code);
    await once(far, 'data');
    write(far);
    assert.equal(await call, 'UNAVAILABLE');
    return trunk.closed!.message;
  }

  test('closes the trunk, with the reason', async (t) => {
    const response = (payload: string): Buffer =>
      Buffer.from(Response.encode({ status: undefined, payload: Buffer.from(payload, 'hex') }).finish());
    assert.deepEqual(
      [
        await closedBy(t, (far) => send(far, 1, MessageType.RESPONSE, Buffer.from('ff', 'hex'))),
        await closedBy(t, (far) => send(far, 1, MessageType.RESPONSE, response('0aff'))),
        await closedBy(t, (far) => send(far, 3, MessageType.RESPONSE, response(''))),
        await closedBy(t, (far) => send(far, 1, MessageType.DATA, response(''))),
        await closedBy(t, (far) => void far.write(Buffer.from('0000000200ffffff', 'hex'))),
      ].map((message) => message.replace(/malformed: .*/, 'malformed')),
      [
        'the peer broke the protocol: the response to UpdateContainers is malformed',
        'the peer broke the protocol: the response to UpdateContainers is malformed',
        'the peer broke the protocol: a response on stream 3, which no call has used',
        'the peer broke the protocol: a message of type 3 on stream 1 instead of a response',
        'the peer broke the protocol: connection 2: a frame of 16777215 bytes, the maximum is 4194314',
      ],
    );
  });
});

describe('a server', () => {
  /** Returns the statuses of the responses to what the peer has written, by stream. */
  async function statuses(t: TestContext, count: number, write: (far: Socket) => void): Promise<Map<number, number>> {
    const { far, responses } = await served(t, runtime);
    const responded = responses(count);
    write(far);
    return new Map([...(await responded)].map(([stream, { status }]) => [stream, status?.code ?? 0]));
  }

  test('returns a status for what it does not serve, and goes on', async (t) => {
    const [name, payload] = ['UpdateContainers', UpdateContainersRequest.encode(update('a')).finish()];
    const found = await statuses(t, 8, (far) => {
      send(far, 9, MessageType.REQUEST, requestOf(name, payload));
      send(far, 9, 99, requestOf(name, payload)); // a type of a later version
      send(far, 7, MessageType.REQUEST, requestOf(name, payload));
      send(far, 10, MessageType.REQUEST, requestOf(name, payload));
      send(far, 11, MessageType.REQUEST, requestOf('Reboot', payload));
      send(far, 13, MessageType.REQUEST, requestOf(name, payload, 'another.Service'));
      send(far, 15, MessageType.REQUEST, Buffer.from('ffff', 'hex'));
      send(far, 17, MessageType.REQUEST, requestOf(name, Buffer.from('0aff', 'hex')));
      send(far, 19, MessageType.REQUEST, requestOf(name, payload), 2);
    });
    const [ok, invalid, unimplemented] = [0, 3, 12];
    assert.deepEqual(
      [...found].sort(([a], [b]) => a - b),
      [
        [7, invalid],
        [9, ok],
        [10, invalid],
        [11, unimplemented],
        [13, unimplemented],
        [15, invalid],
        [17, invalid],
        [19, unimplemented],
      ],
    );
  });

  test("knows a refused stream's id as used", async (t) => {
    const found = await statuses(t, 2, (far) => {
      send(far, 9, MessageType.REQUEST, requestOf('UpdateContainers', Buffer.alloc(0)), 2);
      send(far, 7, MessageType.REQUEST, requestOf('UpdateContainers', Buffer.alloc(0)));
    });
    assert.deepEqual(Object.fromEntries(found), { 9: Code.UNIMPLEMENTED, 7: Code.INVALID_ARGUMENT });
  });

  test('returns the error of a handler that throws at once', async (t) => {
    const { client } = await connected(t, {
      ...runtime,
      updateContainers: () => {
        throw new CriError('NOT_FOUND', 'no container');
      },
    });
    await assert.rejects(
      client.call(updateContainers, update('a'), { timeoutMs: 60_000 }),
      (thrown) => thrown instanceof PeerError && thrown.code === 'NOT_FOUND',
    );
  });

  test('returns RESOURCE_EXHAUSTED instead of a response that is too long', async (t) => {
    const { client, near } = await connected(t, {
      ...runtime,
      updateContainers: async () => ({ failed: update('x'.repeat(4 * 2 ** 20)).update }),
    });
    const call = client.call(updateContainers, update('a'), { timeoutMs: 60_000 });
    await assert.rejects(
      call,
      (thrown) => thrown instanceof PeerError && /the response of \d+ bytes/.test(thrown.message),
    );
    assert.equal(near.closed, undefined);
  });

  test('does not start a call whose deadline has passed', async (t) => {
    let started = 0;
    const { far, responses } = await served(t, {
      ...runtime,
      updateContainers: async () => {
        started++;
        return { failed: [] };
      },
    });
    const responded = responses(1);
    send(far, 1, MessageType.REQUEST, requestOf('UpdateContainers', Buffer.alloc(0), RuntimeDefinition.fullName, -1n));
    assert.equal((await responded).get(1)!.status?.code, Code.DEADLINE_EXCEEDED);
    assert.equal(started, 0);
  });

  for (const [given, nano] of Object.entries({ none: 0n, 'a longer one': BigInt(3600e9) }))
    test(`ends a call with a limit of 120 s if the caller gives ${given}`, async (t) => {
      const started = withResolvers<AbortSignal>();
      const { far, responses } = await served(t, {
        ...runtime,
        updateContainers: (_, signal) => {
          started.resolve(signal);
          return new Promise(() => undefined);
        },
      });
      t.mock.timers.enable({ apis: ['setTimeout'] });
      const responded = responses(1);
      send(far, 1, MessageType.REQUEST, requestOf('UpdateContainers', Buffer.alloc(0), undefined, nano));
      const signal = await started.promise;
      t.mock.timers.tick(119_999);
      assert.equal(signal.aborted, false);
      t.mock.timers.tick(1);
      assert.equal(signal.aborted, true);
      assert.equal((await responded).get(1)!.status?.code, Code.DEADLINE_EXCEEDED);
    });
});

describe('the load of a server', () => {
  const many = (far: Socket, count: number, nano: bigint, first = 1, payload: Uint8Array = Buffer.alloc(0)): void => {
    const request = requestOf('UpdateContainers', payload, undefined, nano);
    for (let call = 0; call < count; call++) send(far, first + 2 * call, MessageType.REQUEST, request);
  };
  const codes = (found: ReadonlyMap<number, Response>): Map<number, number> => {
    const counts = new Map<number, number>();
    for (const { status } of found.values()) counts.set(status?.code ?? 0, (counts.get(status?.code ?? 0) ?? 0) + 1);
    return counts;
  };

  test(`is ${MAX_CALLS_SERVED} handlers, whenever their calls time out`, async (t) => {
    const finish: (() => void)[] = [];
    const { far, responses } = await served(t, {
      ...runtime,
      updateContainers: () => new Promise((resolve) => finish.push(() => resolve({ failed: [] }))),
    });
    const first = responses(500);
    many(far, 500, 1n);
    assert.deepEqual(
      codes(await first),
      new Map([
        [Code.RESOURCE_EXHAUSTED, 500 - MAX_CALLS_SERVED],
        [Code.DEADLINE_EXCEEDED, MAX_CALLS_SERVED],
      ]),
    );
    const second = responses(500);
    many(far, 500, 1n, 1001);
    assert.deepEqual(codes(await second), new Map([[Code.RESOURCE_EXHAUSTED, 500]]));
    assert.equal(finish.length, MAX_CALLS_SERVED);
    finish.shift()!();
    await turn();
    const third = responses(2);
    many(far, 2, 0n, 2001);
    const started = finish.length;
    while (finish.length === started) await turn();
    finish.at(-1)!();
    assert.deepEqual(
      codes(await third),
      new Map([
        [Code.RESOURCE_EXHAUSTED, 1],
        [OK, 1],
      ]),
    );
  });

  test(`is ${MAX_BYTES_SERVED / 2 ** 20} MiB of requests`, async (t) => {
    const finish: (() => void)[] = [];
    const { far, responses } = await served(t, {
      ...runtime,
      updateContainers: () => new Promise((resolve) => finish.push(() => resolve({ failed: [] }))),
    });
    const payload = UpdateContainersRequest.encode(update('x'.repeat(3 * 2 ** 20))).finish();
    const refused = responses(1);
    many(far, 3, 0n, 1, payload);
    assert.deepEqual(
      [...(await refused).values()].map(({ status }) => status?.code),
      [Code.RESOURCE_EXHAUSTED],
    );
    const answered = responses(2);
    for (const each of finish) each();
    assert.deepEqual(codes(await answered), new Map([[OK, 2]]));
    const again = responses(1);
    many(far, 1, 0n, 11, payload);
    while (finish.length < 3) await turn();
    finish[2]!();
    assert.deepEqual(codes(await again), new Map([[OK, 1]]));
  });

  test('does not keep it from noticing that the peer is gone', async (t) => {
    const signals: AbortSignal[] = [];
    const { far, responses } = await served(t, {
      ...runtime,
      updateContainers: (_, signal) => {
        signals.push(signal);
        return new Promise(() => undefined);
      },
    });
    void responses(Infinity);
    many(far, 2_000, 0n);
    while (signals.length < MAX_CALLS_SERVED) await turn();
    far.destroy();
    while (!signals.every((signal) => signal.aborted)) await turn();
    assert.equal(signals.length, MAX_CALLS_SERVED);
  });
});

describe('a slow peer', () => {
  const large = update('x'.repeat(3.5 * 2 ** 20)).update;

  test('gets all responses, however many bytes wait for it', async (t) => {
    const { far, near, responses } = await served(t, { ...runtime, updateContainers: async () => ({ failed: large }) });
    for (let call = 0; call < 6; call++)
      send(far, 1 + 2 * call, MessageType.REQUEST, requestOf('UpdateContainers', Buffer.alloc(0)));
    for (let turns = 0; turns < 50; turns++) await turn();
    assert.equal(near.closed, undefined);
    const lengths = [...(await responses(6)).values()].map(({ payload }) => payload.length > 3.5 * 2 ** 20);
    assert.deepEqual(lengths, Array(6).fill(true));
  });

  test('is disconnected when it reads nothing for 30 s', async (t) => {
    const { far, near } = await served(t, { ...runtime, updateContainers: async () => ({ failed: large }) });
    t.mock.timers.enable({ apis: ['setTimeout'] });
    const closed = new Promise<CriError>((resolve) => near.onClose(resolve));
    send(far, 1, MessageType.REQUEST, requestOf('UpdateContainers', Buffer.alloc(0)));
    for (let turns = 0; turns < 50; turns++) await turn();
    t.mock.timers.tick(29_999);
    assert.equal(near.closed, undefined);
    t.mock.timers.tick(1);
    assert.match((await closed).message, /^the peer does not read: \d+ bytes have waited 30 s for it$/);
  });

  test('is not disconnected while it reads now and then', async (t) => {
    const { far, near } = await served(t, { ...runtime, updateContainers: async () => ({ failed: large }) });
    t.mock.timers.enable({ apis: ['setTimeout'] });
    send(far, 1, MessageType.REQUEST, requestOf('UpdateContainers', Buffer.alloc(0)));
    let bytes = 0;
    far.on('data', (chunk: Buffer) => {
      bytes += chunk.length;
    });
    for (let mebibytes = 1; mebibytes <= 3; mebibytes++) {
      far.resume();
      while (bytes < mebibytes * 2 ** 20) await turn();
      far.pause();
      for (let turns = 0; turns < 50; turns++) await turn();
      t.mock.timers.tick(20_000);
      assert.equal(near.closed, undefined);
    }
  });

  test(`is disconnected when ${MAX_REFUSALS} refusals wait for it`, async (t) => {
    const { far, near } = await served(t, { ...runtime, updateContainers: () => new Promise(() => undefined) });
    const closed = new Promise<CriError>((resolve) => near.onClose(resolve));
    const request = requestOf('UpdateContainers', Buffer.alloc(0));
    for (let stream = 1; !near.closed; stream += 2) {
      send(far, stream, MessageType.REQUEST, request);
      if (stream % 1_000 === 1) await turn();
    }
    assert.match((await closed).message, /^the peer does not read: 1024 refusals of its calls wait$/);
  });
});

describe('a trunk', () => {
  test('keeps what has arrived until it is read', async (t) => {
    const [near, far] = await socketPair(t);
    send(far, 1, MessageType.REQUEST, requestOf('UpdateContainers', Buffer.alloc(0)));
    await once(near, 'readable');
    const trunk = createTrunk(near);
    await turn();
    await turn();
    serveTtrpc(trunk, 2, RuntimeDefinition, runtime);
    trunk.read();
    await once(far, 'data');
    assert.equal(trunk.closed, undefined);
  });

  test('has one receiver for each connection', async (t) => {
    const [near] = await socketPair(t);
    const trunk = createTrunk(near);
    serveTtrpc(trunk, 2, RuntimeDefinition, runtime);
    assert.throws(() => createTtrpcClient(trunk, 2), { code: 'ALREADY_EXISTS', message: 'connection 2 is open' });
  });
});
