import assert from 'node:assert/strict';
import { test, type TestContext } from 'node:test';
import { setTimeout } from 'node:timers/promises';
import { ServerError, Status, type CallContext } from 'nice-grpc';
import { createContainerd } from '../../../src/containerd/client.js';
import type { Containerd } from '../../../src/containerd/containerd.js';
import { createFake, silent, type FakeConfig } from './fake-containerd.js';

type Call = { method: string; code: string };

async function setUp(t: TestContext, config: FakeConfig) {
  const fake = await createFake(config);
  const calls: Call[] = [];
  const containerd: Containerd = createContainerd({
    address: `unix://${fake.address}`,
    namespace: 'ours',
    log: silent,
    connectTimeoutMs: 5000,
    onCall: ({ method, code }) => calls.push({ method, code }),
  });
  t.after(async () => {
    containerd.close();
    await fake.remove();
  });
  await fake.start();
  return { fake, calls, containerd };
}

const failure = async (work: Promise<unknown>): Promise<string> => {
  try {
    await work;
    return 'no failure';
  } catch (thrown) {
    const { code, message } = thrown as { code: string; message: string };
    return `${code} ${message}`;
  }
};

const forever = (signal: AbortSignal): Promise<never> =>
  new Promise((_resolve, reject) => signal.addEventListener('abort', () => reject(new Error('gone'))));

test('every call carries the namespace, and the lease when there is one', async (t) => {
  const seen: (string | undefined)[][] = [];
  const { containerd, calls } = await setUp(t, {
    listLeases: (_request, { metadata }) => {
      seen.push([metadata.get('containerd-namespace'), metadata.get('containerd-lease')]);
      return { leases: [] };
    },
  });
  await containerd.leases.list([]);
  await containerd.leases.list([], { lease: 'mine' });
  assert.deepEqual(seen, [
    ['ours', undefined],
    ['ours', 'mine'],
  ]);
  assert.deepEqual(calls, Array(2).fill({ method: 'leases.list', code: 'OK' }));
});

test('errors name the method and keep the text without secrets; a deletion of a missing object succeeds', async (t) => {
  let status = Status.FAILED_PRECONDITION;
  const { containerd, calls } = await setUp(t, {
    deleteContainer: () => {
      throw new ServerError(status, 'see https://jo:pw@host/path?X-Signature=abc for "x"');
    },
  });
  assert.equal(
    await failure(containerd.containers.delete('x')),
    'FAILED_PRECONDITION containers.delete: see https://[redacted]@host/path?[redacted] for "x"',
  );
  // A cancellation that this client did not request means that containerd is shutting down.
  status = Status.CANCELLED;
  assert.match(await failure(containerd.containers.delete('x')), /^UNAVAILABLE containers\.delete: /);
  status = Status.NOT_FOUND;
  assert.equal(await failure(containerd.containers.delete('x')), 'no failure');
  assert.deepEqual(
    calls.map(({ code }) => code),
    ['FAILED_PRECONDITION', 'UNAVAILABLE', 'NOT_FOUND'],
  );
});

test('a deadline and an abort end the call here and in containerd', async (t) => {
  let ended = 0;
  const { containerd } = await setUp(t, {
    deleteContainer: (_request, { signal }) => forever(signal).finally(() => ended++),
  });
  assert.equal(
    await failure(containerd.containers.delete('slow', { timeoutMs: 100 })),
    'DEADLINE_EXCEEDED containers.delete: "slow": no answer from containerd within 100 ms',
  );
  assert.equal(
    await failure(containerd.containers.delete('slow', { signal: AbortSignal.timeout(100) })),
    'CANCELLED containers.delete: "slow": cancelled by the caller',
  );
  assert.equal(
    await failure(containerd.containers.delete('slow', { signal: AbortSignal.abort() })),
    'CANCELLED containers.delete: "slow": cancelled by the caller',
  );
  while (ended < 2) await new Promise(setImmediate);
});

test('a read that a restart interrupted is sent again; a write is not', async (t) => {
  const arrivals: string[] = [];
  let arrived = (): void => undefined;
  let hold = true;
  const answer = async <T>(name: string, { signal }: CallContext, value: T): Promise<T> => {
    arrivals.push(name);
    arrived();
    return hold ? forever(signal) : value;
  };
  const { containerd, fake } = await setUp(t, {
    createLease: ({ id }, context) => answer('write', context, { lease: { id } }),
    listLeases: (_request, context) => answer('read', context, { leases: [{ id: 'a' }] }),
  });
  const cutOff = async <T>(send: () => Promise<T>): Promise<T> => {
    hold = true;
    const there = new Promise<void>((resolve) => (arrived = resolve));
    const call = send();
    await there;
    hold = false;
    fake.stop();
    await fake.start();
    return call;
  };
  assert.deepEqual(
    (await cutOff(() => containerd.leases.list([]))).map(({ id }) => id),
    ['a'],
  );
  assert.match(await cutOff(() => failure(containerd.leases.create('b', {}))), /^UNAVAILABLE leases\.create: /);
  assert.deepEqual(arrivals, ['read', 'read', 'write']);
});

test('writes wait for a containerd that is down', async (t) => {
  const { containerd, fake } = await setUp(t, { createLease: ({ id }) => ({ lease: { id } }) });
  await containerd.leases.create('a', {});
  fake.stop();
  const waiting = containerd.leases.create('b', {});
  await setTimeout(50);
  await fake.start();
  assert.equal((await waiting).id, 'b');
});

test('a full disk of containerd is named', async (t) => {
  const full = 'write /var/lib/containerd/meta.db: no space left on device';
  const { containerd } = await setUp(t, {
    deleteContainer: () => {
      throw new ServerError(Status.UNKNOWN, full);
    },
  });
  assert.equal(
    await failure(containerd.containers.delete('c')),
    `RESOURCE_EXHAUSTED containerd's disk is full: containers.delete: ${full}`,
  );
});
