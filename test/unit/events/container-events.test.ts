import assert from 'node:assert/strict';
import { test } from 'node:test';
import { ContainerEventType, type ContainerEventResponse } from '../../../generated/runtime/v1/api.js';
import { createContainerEvents } from '../../../src/events/container-events.js';
import type { Container, Pod } from '../../../src/state/records.js';
import { createTable } from '../../../src/state/table.js';
import { container, pod } from '../stats/records.js';

const exited = (reason: string): Container['state'] => ({
  phase: 'exited',
  startedAtNs: 1n,
  finishedAtNs: 2n,
  exitCode: 0,
  reason,
  message: '',
});

function eventsOf(queueLimit = 100) {
  const state = { pods: createTable<Pod>('pod sandbox'), containers: createTable<Container>('container') };
  let cutOff = 0;
  const events = createContainerEvents({
    state,
    queueLimit,
    onCutOff: () => cutOff++,
    describe: ({ id }) => ({
      pod_sandbox_status: { id } as ContainerEventResponse['pod_sandbox_status'],
      containers_statuses: [],
    }),
  });
  return { state, events, cutOffs: () => cutOff };
}

const told = (event: ContainerEventResponse): string =>
  `${event.container_id} ${ContainerEventType[event.container_event_type]?.split('_')[1]} ${event.pod_sandbox_status?.id}`;

/** Begins to read at once, as the server does. */
function read(stream: AsyncIterable<ContainerEventResponse>): Promise<string[]> {
  return (async () => {
    const seen: string[] = [];
    for await (const event of stream) seen.push(told(event));
    return seen;
  })();
}

test('the life of a pod and its containers, in order, to every subscriber', async () => {
  const { state, events } = eventsOf();
  const readers = [read(events.subscribe(undefined)), read(events.subscribe(undefined))];
  state.pods.put(pod('p'));
  state.containers.put(container('c', 'p', { state: { phase: 'created' } }));
  state.containers.put(container('c', 'p'));
  state.containers.put(container('c', 'p', { state: exited('Error') }));
  // A reason that arrives later must not send a second event.
  state.containers.put(container('c', 'p', { state: exited('OOMKilled') }));
  state.containers.delete('c');
  state.pods.put(pod('p', { state: { phase: 'not-ready', released: false, failedDetaches: 0 } }));
  state.pods.put(pod('p', { state: { phase: 'not-ready', released: true, failedDetaches: 0 } }));
  state.pods.delete('p');
  events.close();
  const life = [
    'p CREATED p',
    'p STARTED p',
    'c CREATED p',
    'c STARTED p',
    'c STOPPED p',
    'c DELETED p',
    'p STOPPED p',
    'p DELETED p',
  ];
  assert.deepEqual(await Promise.all(readers), [life, life]);
});

test('two events right after each other have different times, which a kubelet compares', async () => {
  const { state, events } = eventsOf();
  const times: bigint[] = [];
  const reading = (async () => {
    for await (const event of events.subscribe(undefined)) times.push(event.created_at);
  })();
  for (let round = 0; round < 40; round++) state.pods.put(pod(`p${round}`));
  events.close();
  await reading;
  assert.deepEqual([times.length, new Set(times).size], [80, 80]);
  assert.deepEqual(
    times,
    [...times].sort((a, b) => Number(a - b)),
  );
});

test('a container that ended before its start was stored has a start event; one that could not start has none', async () => {
  const { state, events } = eventsOf();
  const reading = read(events.subscribe(undefined));
  state.pods.put(pod('p'));
  for (const [id, reason] of [
    ['quick', 'Completed'],
    ['never', 'StartError'],
  ] as const) {
    state.containers.put(container(id, 'p', { state: { phase: 'created' } }));
    state.containers.put(container(id, 'p', { state: exited(reason) }));
  }
  events.close();
  assert.deepEqual((await reading).slice(2), [
    'quick CREATED p',
    'quick STARTED p',
    'quick STOPPED p',
    'never CREATED p',
    'never STOPPED p',
  ]);
});

test('a subscriber that does not read is cut off, the others are not', async () => {
  const { state, events, cutOffs } = eventsOf(3);
  const slow = events.subscribe(undefined)[Symbol.asyncIterator]();
  const first = slow.next();
  const reading = read(events.subscribe(undefined));
  for (const id of ['a', 'b', 'c']) {
    state.pods.put(pod(id));
    await new Promise((resolve) => setImmediate(resolve));
  }
  events.close();
  assert.equal(told((await first).value as ContainerEventResponse), 'a CREATED a');
  await assert.rejects(async () => slow.next(), { code: 'RESOURCE_EXHAUSTED', message: /3 events/ });
  assert.deepEqual([(await reading).length, cutOffs()], [6, 1]);
});

test('a caller that leaves ends its subscription', async () => {
  const { events } = eventsOf();
  const caller = new AbortController();
  const reading = read(events.subscribe(caller.signal));
  caller.abort();
  assert.deepEqual([await reading, events.load()], [[], { subscribers: 0, longestQueue: 0 }]);
});
