import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import type { ContainerdEvent } from '../../../src/containerd/containerd.js';
import { busybox, connect, empty, pullBusybox } from './lab.js';

const containerd = connect('crid-test-events');
const elsewhere = connect('crid-test-events-elsewhere');

before(async () => {
  await empty(containerd);
  await empty(elsewhere);
  await pullBusybox(containerd);
});
after(async () => {
  await empty(containerd);
  await empty(elsewhere);
  containerd.close();
  elsewhere.close();
});

test('events of this namespace arrive after onConnected, in order; the end of the signal ends them', async () => {
  const abort = new AbortController();
  const order: (string | ContainerdEvent)[] = [];
  const { target } = await containerd.images.get(busybox);
  await new Promise<void>((resolve, reject) => {
    containerd.events.subscribe(
      {
        onConnected: async () => {
          // Both happen while onConnected runs, so the event waits in the queue.
          await containerd.images.create({ name: 'early', labels: {}, target });
          order.push('connected');
          change().catch((thrown: unknown) => reject(thrown));
        },
        onEvent: (event) => {
          order.push(event);
          if (event.kind === 'image-changed' && event.deleted) resolve();
        },
        onLost: reject,
      },
      abort.signal,
    );
  });
  abort.abort();
  assert.deepEqual(order, [
    'connected',
    { kind: 'image-changed', name: 'early', deleted: false },
    { kind: 'image-changed', name: 'early', deleted: false },
    { kind: 'image-changed', name: 'early', deleted: true },
  ]);

  async function change(): Promise<void> {
    await elsewhere.images.create({ name: 'late', labels: {}, target });
    await elsewhere.images.delete('late', false);
    await containerd.images.update({ name: 'early', labels: { a: '1' }, target }, ['labels']);
    await containerd.images.delete('early', false);
  }
});
