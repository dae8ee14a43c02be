import assert from 'node:assert/strict';
import { mkdtemp, rm } from 'node:fs/promises';
import { createServer, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { once } from 'node:events';
import { test, type TestContext } from 'node:test';
import {
  ConfigureRequest,
  Container,
  Event,
  PluginDefinition,
  PodSandbox,
  RuntimeDefinition,
  type ContainerUpdate,
} from '../../../generated/nri/v1alpha1/api.js';
import { CriError } from '../../../src/base/errors.js';
import { connectPlugin as serveAt, type Plugin, type PluginOptions } from '../../../src/nri/plugin.js';
import { connectPlugin, type ConnectedPlugin, type PluginHandlers } from '../../../src/nri-plugin/index.js';
import { createTrunk } from '../../../src/ttrpc/trunk.js';
import { createTtrpcClient } from '../../../src/ttrpc/ttrpc-client.js';
import { methodOf } from '../../../src/ttrpc/ttrpc-method.js';
import { serveTtrpc } from '../../../src/ttrpc/ttrpc-server.js';
import { options } from './fake-plugin.js';

const NEVER = new AbortController().signal;
const pod = PodSandbox.fromPartial({ id: 'pod', annotations: { class: 'fast' } });
const container = Container.fromPartial({ id: 'container', name: 'main' });
const about = { pod, container };

async function listen(t: TestContext): Promise<{ path: string; accepted: Promise<Socket> }> {
  const folder = await mkdtemp(join(tmpdir(), 'crid-nri-'));
  const path = join(folder, 'nri.sock');
  const server = createServer().listen(path);
  await once(server, 'listening');
  const accepted = once(server, 'connection').then(([socket]) => socket as Socket);
  t.after(async () => {
    (await accepted).destroy();
    server.close();
    await rm(folder, { recursive: true });
  });
  return { path, accepted };
}

/** Connects a plugin of the library to crid's end of the wire. */
async function connected(
  t: TestContext,
  handlers: PluginHandlers,
  more: Partial<PluginOptions> = {},
): Promise<{ near: Plugin; far: ConnectedPlugin }> {
  const { path, accepted } = await listen(t);
  const far = connectPlugin(handlers, { name: 'test', index: '07', socketPath: path });
  const [near, plugin] = await Promise.all([accepted.then((socket) => serveAt(socket, options(more))), far]);
  return { near, far: plugin };
}

test('the handlers may be methods of a class', async (t) => {
  class Counting implements PluginHandlers {
    readonly seen: string[] = [];
    synchronize({ pods }: { readonly pods: readonly PodSandbox[] }): void {
      this.seen.push(`synchronize ${pods.length}`);
    }
    runPodSandbox({ pod: { id } }: { readonly pod: PodSandbox }): void {
      this.seen.push(id);
    }
  }
  const handlers = new Counting();
  const { near } = await connected(t, handlers);
  await near.synchronize(async () => ({ pods: [pod], containers: [] }));
  await near.call('RunPodSandbox', () => ({ pod }), NEVER);
  assert.deepEqual(handlers.seen, ['synchronize 1', 'pod']);
});

test('a plugin is subscribed to the events that have a handler, and an adjustment needs only the members it sets', async (t) => {
  const seen: unknown[] = [];
  const { near } = await connected(t, {
    createContainer({ pod, container }) {
      seen.push([pod.annotations['class'], container.name]);
      return { adjust: { env: [{ key: 'A', value: 'b' }] } };
    },
    stopPodSandbox: ({ pod }) => void seen.push(pod.id),
  });
  const calls = ['RunPodSandbox', 'StopPodSandbox', 'CreateContainer', 'StopContainer'] as const;
  assert.deepEqual(calls.filter(near.wants), ['StopPodSandbox', 'CreateContainer']);
  const answer = await near.call('CreateContainer', () => about, NEVER);
  await near.call('StopPodSandbox', () => ({ pod }), NEVER);
  assert.deepEqual(
    [near.name, seen, answer?.adjust?.env, answer?.adjust?.mounts],
    ['07-test', [['fast', 'main'], 'pod'], [{ key: 'A', value: 'b' }], []],
  );
});

test('a plugin without handlers of events is not subscribed to all of them', async (t) => {
  const { near } = await connected(t, {});
  assert.equal(near.wants('CreateContainer'), false);
  await near.call('RemovePodSandbox', () => ({ pod }), NEVER);
});

test('the pieces of the state come to the handler as one', async (t) => {
  const sizes: number[][] = [];
  const { near } = await connected(t, {
    synchronize({ pods, containers }) {
      sizes.push([pods.length, containers.length]);
      return [{ container_id: 'container', linux: { resources: { pids: { limit: 9n } } } }];
    },
  });
  const large = Array.from({ length: 5 }, (_, at) =>
    PodSandbox.fromPartial({ id: `${at}`, annotations: { x: 'x'.repeat(2 ** 20) } }),
  );
  const updates = await near.synchronize(async () => ({ pods: large, containers: [container] }));
  assert.deepEqual(sizes, [[5, 1]]);
  assert.deepEqual(
    updates.map(({ container_id, linux }) => [container_id, linux?.resources?.pids?.limit]),
    [['container', 9n]],
  );
});

test('an error of a handler goes to the runtime, and a reason of a validator rejects', async (t) => {
  const { near } = await connected(t, {
    startContainer() {
      throw new Error('not today');
    },
    validateContainerAdjustment: ({ plugins }) => (plugins.length > 0 ? 'not with others' : undefined),
  });
  await assert.rejects(
    near.call('StartContainer', () => about, NEVER),
    { code: 'UNKNOWN', message: 'not today' },
  );
  const validate = (plugins: { name: string; index: string }[]) =>
    near.call(
      'ValidateContainerAdjustment',
      () => ({ ...about, adjust: undefined, update: [], owners: undefined, plugins }),
      NEVER,
    );
  assert.deepEqual(await validate([]), { reject: false, reason: '' });
  assert.deepEqual(await validate([{ name: 'a', index: '01' }]), { reject: true, reason: 'not with others' });
});

test('a plugin changes containers without being asked, and gets the updates that failed', async (t) => {
  const asked: unknown[] = [];
  const { far } = await connected(
    t,
    {},
    {
      update: async (plugin, { update, evict }) => {
        asked.push(plugin.name, evict);
        return update;
      },
    },
  );
  const failed: ContainerUpdate[] = await far.updateContainers([{ container_id: 'a' }], [{ container_id: 'b' }]);
  assert.deepEqual(
    [failed.map(({ container_id }) => container_id), asked],
    [['a'], ['test', [{ container_id: 'b', reason: '' }]]],
  );
});

test('close waits for the call under way, and the runtime gets its response', async (t) => {
  let go!: () => void;
  const { near, far } = await connected(t, {
    createContainer: () => new Promise((resolve) => (go = () => resolve({ adjust: { args: ['x'] } }))),
  });
  const call = near.call('CreateContainer', () => about, NEVER);
  await new Promise((resolve) => setTimeout(resolve, 50));
  const closing = far.close();
  go();
  assert.deepEqual((await call)?.adjust?.args, ['x']);
  await closing;
  assert.equal(await far.closed, undefined);
});

test('the connection ends without an error after Shutdown, and with one otherwise', async (t) => {
  let isTold = false;
  const first = await connected(t, { shutdown: () => void (isTold = true) });
  await first.near.shutDown();
  assert.deepEqual([await first.far.closed, isTold], [undefined, true]);
  const second = await connected(t, {});
  second.near.close(new CriError('UNAVAILABLE', 'killed'));
  assert.match(String(await second.far.closed), /the peer closed the connection/);
});

test('a runtime before NRI 0.12 sends events as StateChange', async (t) => {
  const { path, accepted } = await listen(t);
  const seen: unknown[] = [];
  const plugin = connectPlugin(
    {
      runPodSandbox: ({ pod }) => void seen.push(pod.id),
      startContainer: ({ container }) => void seen.push(container.id),
    },
    { name: 'test', index: '07', socketPath: path },
  );
  const trunk = createTrunk(await accepted);
  const client = createTtrpcClient(trunk, 1);
  const limit = { timeoutMs: 2_000 };
  const configure = { ...ConfigureRequest.fromPartial({ config: 'x' }) };
  serveTtrpc(trunk, 2, RuntimeDefinition, {
    registerPlugin: async () => ({}),
    updateContainers: async () => ({ failed: [] }),
  });
  trunk.read();
  const { events } = await client.call(methodOf(PluginDefinition, 'configure'), configure, limit);
  await plugin;
  for (const event of [Event.RUN_POD_SANDBOX, Event.START_CONTAINER, Event.POST_START_CONTAINER])
    await client.call(methodOf(PluginDefinition, 'stateChange'), { event, ...about }, limit);
  assert.deepEqual([events, seen], [0b100001, ['pod', 'container']]);
});

test('errors of a connection name what is wrong', async (t) => {
  const bad = (more: object): Promise<unknown> => connectPlugin({}, { name: 'test', index: '07', ...more });
  await assert.rejects(bad({ name: 'a b' }), { code: 'INVALID_ARGUMENT', message: /^name: / });
  await assert.rejects(bad({ index: '7' }), { code: 'INVALID_ARGUMENT', message: 'index: expected two digits' });
  await assert.rejects(bad({ socketPath: '/no/such.sock' }), {
    code: 'UNAVAILABLE',
    message: 'connect ENOENT /no/such.sock',
  });
  const { path, accepted } = await listen(t);
  const silent = bad({ socketPath: path, connectTimeoutMs: 20 });
  await accepted;
  await assert.rejects(silent, { code: 'DEADLINE_EXCEEDED', message: /not configured the plugin within 0\.02 s/ });
});
