import assert from 'node:assert/strict';
import { EventEmitter, on } from 'node:events';
import { test } from 'node:test';
import { ImageDelete } from '../../../generated/containerd/events/image.js';
import { TaskExit, TaskOOM } from '../../../generated/containerd/events/task.js';
import { openChannel } from '../../../src/containerd/channel.js';
import { createConnection, createEndings } from '../../../src/containerd/connection.js';
import type { ContainerdEvent } from '../../../src/containerd/containerd.js';
import { decodeEvent, eventFilters } from '../../../src/containerd/event-decode.js';
import { createEvents } from '../../../src/containerd/events.js';
import { createFake, silent } from './fake-containerd.js';

test('events decode by topic; an exec keeps its id, the container itself has none', () => {
  const exit = (id: string) =>
    TaskExit.encode({
      container_id: 'c',
      id,
      pid: 7,
      exit_status: 3,
      exited_at: { seconds: 2n, nanos: 5 },
    }).finish();
  const decode = (topic: string, value: Uint8Array) => decodeEvent(topic, { type_url: 'any', value });
  const exited = { kind: 'task-exit', containerId: 'c', pid: 7, exit: { exitStatus: 3, exitedAtNs: 2_000_000_005n } };
  assert.deepEqual(
    [
      decode('/tasks/exit', exit('c')),
      decode('/tasks/exit', exit('e')),
      decode('/tasks/oom', TaskOOM.encode({ container_id: 'c' }).finish()),
      decode('/tasks/start', exit('c')),
    ],
    [{ ...exited, execId: '' }, { ...exited, execId: 'e' }, { kind: 'task-oom', containerId: 'c' }, undefined],
  );
  assert.ok(eventFilters('k8s.io').includes('topic=="/tasks/exit",namespace=="k8s.io"'));
});

test('more events than the queue holds restart the subscription', async () => {
  const wire = new EventEmitter();
  const fake = await createFake({
    publish: (topic) => wire.emit('event', { topic, namespace: 'ours' }),
    subscribe: async function* (_filters, { signal }) {
      for await (const [envelope] of on(wire, 'event', { signal })) yield envelope as object;
    },
  });
  await fake.start();
  const channel = openChannel(fake.address);
  const endings = createEndings();
  const clientOf = createConnection({
    channel,
    namespace: 'ours',
    log: silent,
    defaultTimeoutMs: 5000,
    connectTimeoutMs: 5000,
    endings,
    describeShim: undefined,
    onCall: undefined,
  });
  const events = createEvents(clientOf, {
    namespace: 'ours',
    log: silent,
    isClosed: () => endings.closed,
    queueLimit: 2,
  });

  const happened: string[] = [];
  const abort = new AbortController();
  const deleted = (name: string, namespace = 'ours'): void => {
    const value = Buffer.from(ImageDelete.encode({ name }).finish());
    wire.emit('event', { topic: '/images/delete', namespace, event: { type_url: '', value } });
  };
  await new Promise<void>((resolve) => {
    let sessions = 0;
    let lost = (): void => undefined;
    events.subscribe(
      {
        onConnected: async () => {
          happened.push('connected');
          sessions++;
          if (sessions === 1) {
            // The queue overflows by one event while this callback runs, and the callback runs until the overflow is
            // noticed.
            const noticed = new Promise<void>((done) => (lost = done));
            for (const name of ['a', 'b', 'c']) deleted(name);
            setTimeout(lost, 200);
            await noticed;
          } else {
            deleted('other', 'theirs');
            for (const name of ['d', 'e']) deleted(name);
          }
        },
        onEvent: (event: ContainerdEvent) => {
          happened.push(event.kind === 'image-changed' ? event.name : event.kind);
          if (happened.at(-1) === 'e') resolve();
          else throw new Error('an event that cannot be handled stops nothing');
        },
        onLost: ({ message }) => happened.push(message),
      },
      abort.signal,
    );
  });
  abort.abort();
  endings.endAll();
  channel.close();
  await fake.remove();
  assert.deepEqual(happened, [
    'connected',
    'events.subscribe: more than 2 events while catching up',
    'connected',
    'd',
    'e',
  ]);
});
