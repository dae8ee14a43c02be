import assert from 'node:assert/strict';
import { test } from 'node:test';
import { createContainerd } from '../../../src/containerd/client.js';
import type { Containerd } from '../../../src/containerd/containerd.js';
import { failure, log } from './lab.js';
import { createPrivateContainerd, type PrivateContainerd } from './private-containerd.js';

async function withContainerd(
  work: (daemon: PrivateContainerd, client: Containerd) => Promise<void>,
  connectTimeoutMs = 30_000,
): Promise<void> {
  const daemon = await createPrivateContainerd();
  const client = createContainerd({ address: daemon.address, namespace: 'test', log, connectTimeoutMs });
  try {
    await work(daemon, client);
  } finally {
    client.close();
    await daemon.remove();
  }
}

test('a call waits for containerd, over several stops and starts', () =>
  withContainerd(async (daemon, client) => {
    const first = client.leases.create('a', {});
    daemon.start();
    assert.equal((await first).id, 'a');
    for (const signal of ['SIGTERM', 'SIGKILL'] as const) {
      await daemon.stop(signal);
      const waiting = client.leases.list([]);
      daemon.start();
      assert.deepEqual(
        (await waiting).map(({ id }) => id),
        ['a'],
      );
    }
  }));

test('a containerd that does not start is UNAVAILABLE with the reason', () =>
  withContainerd(async (daemon, client) => {
    assert.equal(
      await failure(client.leases.list([])),
      `UNAVAILABLE leases.list: containerd at ${daemon.address} is not reachable: connect ENOENT ${daemon.address}`,
    );
  }, 200));

test('a stream cut off by a restart is UNAVAILABLE; events begin again with onConnected', () =>
  withContainerd(async (daemon, client) => {
    daemon.start();
    const happened: string[] = [];
    const abort = new AbortController();
    let connected = (): void => undefined;
    const nextConnection = (): Promise<void> => new Promise((resolve) => (connected = resolve));
    let ready = nextConnection();
    client.events.subscribe(
      {
        onConnected: async () => {
          happened.push('connected');
          connected();
        },
        onEvent: (event) => happened.push(event.kind),
        onLost: (error) => happened.push(`lost ${(error as { code?: string }).code ?? ''}`),
      },
      abort.signal,
    );
    await ready;
    for (const signal of ['SIGTERM', 'SIGKILL'] as const) {
      ready = nextConnection();
      await daemon.stop(signal);
      daemon.start();
      await ready;
    }
    abort.abort();
    assert.deepEqual(happened, ['connected', 'lost UNAVAILABLE', 'connected', 'lost UNAVAILABLE', 'connected']);
  }));

test('closing ends waiting calls and refuses new ones', () =>
  withContainerd(async (_daemon, client) => {
    const waiting = failure(client.leases.list([]));
    client.close();
    assert.deepEqual(
      [await waiting, await failure(client.leases.list([]))],
      Array(2).fill('CANCELLED leases.list: the containerd client is closed'),
    );
  }));
