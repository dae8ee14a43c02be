import { credentials, Client, type ClientReadableStream, type ServiceError } from '@grpc/grpc-js';
import assert from 'node:assert/strict';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { setImmediate, setTimeout as sleep } from 'node:timers/promises';
import {
  ContainerEventResponse,
  PodSandboxStatus,
  RuntimeServiceDefinition,
} from '../../../generated/runtime/v1/api.js';
import { createLogger } from '../../../src/base/log.js';
import { serve, type CriServer } from '../../../src/cri/server.js';
import { implement } from '../../../src/cri/service.js';
import { createContainerEvents, type ContainerEvents } from '../../../src/events/container-events.js';
import type { Container, Pod } from '../../../src/state/records.js';
import { createTable } from '../../../src/state/table.js';
import { pod } from '../stats/records.js';

/** A subscriber that stops reading, over the socket: its unread events must not accumulate anywhere in crid. */

const QUEUE_LIMIT = 100;
const EVENTS = 4_000;
const EVENT_BYTES = 16 * 1024;
/** The events in the queue, and those in the kernel's and the library's buffers of a socket. */
const RECEIVED_AT_MOST = QUEUE_LIMIT + 300;

const state = { pods: createTable<Pod>('pod sandbox'), containers: createTable<Container>('container') };
let folder: string;
let server: CriServer;
let client: Client;
let events: ContainerEvents;
let cutOffs = 0;

before(async () => {
  folder = await mkdtemp(join(tmpdir(), 'crid-events-'));
  events = createContainerEvents({
    state,
    queueLimit: QUEUE_LIMIT,
    onCutOff: () => cutOffs++,
    describe: ({ id }) => ({
      pod_sandbox_status: PodSandboxStatus.fromPartial({ id, runtime_handler: 'x'.repeat(EVENT_BYTES) }),
      containers_statuses: [],
    }),
  });
  server = await serve({
    listen: `unix://${folder}/crid.sock`,
    socketGid: 0,
    services: [
      implement(RuntimeServiceDefinition, {
        getContainerEvents: (_, { signal }) => events.subscribe(signal),
      }),
    ],
    log: createLogger('error'),
  });
  client = new Client(`unix:${folder}/crid.sock`, credentials.createInsecure());
});

after(async () => {
  client.close();
  events.close();
  await server.stop(1_000);
  await rm(folder, { recursive: true });
});

test('a client that stops reading is cut off with the reason, and its queue is limited', async () => {
  const slow = subscribe();
  const [failed, received] = [
    new Promise<ServiceError>((resolve) => slow.on('error', resolve)),
    new Promise<void>((resolve) => slow.once('data', () => resolve())),
  ];
  let seen = 0;
  slow.on('data', () => seen++);
  await untilSubscribed();
  state.pods.put(pod('first'));
  await received;
  slow.pause();
  let longest = 0;
  for (let index = 0; index < EVENTS; index++) {
    state.pods.put(pod(`p${index}`, { state: { phase: 'not-ready', released: true, failedDetaches: 0 } }));
    longest = Math.max(longest, events.load().longestQueue);
    await setImmediate();
  }
  assert.deepEqual([cutOffs, events.load().subscribers, longest <= QUEUE_LIMIT], [1, 0, true], `${longest} waited`);
  slow.resume();
  const { code, details } = await failed;
  assert.deepEqual([code, details], [8, `more than ${QUEUE_LIMIT} events were not read: subscribe again`]);
  assert.ok(seen <= RECEIVED_AT_MOST, `${seen} events were kept for it`);
});

const subscribe = (): ClientReadableStream<ContainerEventResponse> =>
  client.makeServerStreamRequest(
    '/runtime.v1.RuntimeService/GetContainerEvents',
    () => Buffer.alloc(0),
    (bytes) => ContainerEventResponse.decode(bytes),
    {},
  );

async function untilSubscribed(): Promise<void> {
  for (let turn = 0; events.load().subscribers === 0; turn++) {
    if (turn === 1_000) throw new Error('no subscription within 10 s');
    await sleep(10);
  }
}
