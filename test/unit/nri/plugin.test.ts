import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { Container, Event, PodSandbox, type StateChangeEvent } from '../../../generated/nri/v1alpha1/api.js';
import { CriError } from '../../../src/base/errors.js';
import { MAX_WAITING_CALLS } from '../../../src/nri/plugin.js';
import { PeerError } from '../../../src/ttrpc/ttrpc-errors.js';
import { connectFake, register, registered } from './fake-plugin.js';

const NEVER = new AbortController().signal;
const A = { name: 'a', index: '10' };
const pod = PodSandbox.fromPartial({ id: 'pod' });
const text = (thrown: unknown): string => `${CriError.from(thrown).code}: ${CriError.from(thrown).message}`;

describe('a registration', () => {
  test('is followed by Configure with the time limits in milliseconds', async (t) => {
    let asked: unknown;
    const plugin = await registered(t, A, {
      configure: async (request) => {
        asked = request;
        return { events: 1, failure_policy: { fail_request: true, keep_connected: true } };
      },
    });
    assert.deepEqual(asked, {
      ...{ config: '', runtime_name: 'crid', runtime_version: '1.2.3', NRI_version: 'v0.12.5' },
      ...{ registration_timeout: 2_000n, request_timeout: 2_000n },
    });
    assert.deepEqual(
      [plugin.name, plugin.failurePolicy, plugin.wants('RunPodSandbox'), plugin.wants('StopPodSandbox')],
      ['10-a', { fail_request: true, keep_connected: true }, true, false],
    );
  });

  test('with a bad name or index is refused, and may be tried again; a second one is refused', async (t) => {
    const { fake, plugin } = await connectFake(t);
    const refused = async (name: string, index: string): Promise<string> =>
      register(fake, { name, index }).then(() => 'ok', text);
    assert.deepEqual(
      [await refused('a/b', '10'), await refused('', '10'), await refused('a', '1'), await refused('a', '1x')],
      [
        ...Array<string>(2).fill(
          'INVALID_ARGUMENT: plugin_name: expected up to 128 letters, digits, "_", ".", "+" and "-"',
        ),
        ...Array<string>(2).fill('INVALID_ARGUMENT: plugin_idx: expected two digits'),
      ],
    );
    assert.equal(await refused('a', '10'), 'ok');
    assert.equal(await refused('b', '11'), 'ALREADY_EXISTS: plugin "10-a" is already registered');
    assert.equal((await plugin).name, '10-a');
  });

  test('that is late, and a Configure that fails, close the connection', async (t) => {
    const late = await connectFake(t, {}, { registrationTimeoutMs: 20 });
    await assert.rejects(late.plugin, { code: 'DEADLINE_EXCEEDED', message: 'not registered within 0.02 s' });
    const refused = await connectFake(t, {}, { registrationTimeoutMs: 200 });
    await assert.rejects(register(refused.fake, { name: 'a', index: 'x' }));
    await assert.rejects(refused.plugin, { message: 'not registered within 0.2 s: plugin_idx: expected two digits' });
    const unknown = await connectFake(t, { configure: async () => ({ events: 2 ** 14, failure_policy: undefined }) });
    await register(unknown.fake, A);
    await assert.rejects(unknown.plugin, { message: 'events: 0x4000 has unknown events' });
    await sleep(20);
    assert.ok(late.fake.trunk.closed && unknown.fake.trunk.closed);
  });
});

describe('a call', () => {
  test('comes one at a time, also after the caller of the one before has left', async (t) => {
    const seen: string[] = [];
    const plugin = await registered(t, A, {
      runPodSandbox: async (request) => {
        seen.push(`begin ${request.pod!.id}`);
        await sleep(50);
        seen.push(`end ${request.pod!.id}`);
        return {};
      },
    });
    const leaving = new AbortController();
    const call = (id: string, signal: AbortSignal) =>
      plugin.call('RunPodSandbox', () => ({ pod: PodSandbox.fromPartial({ id }) }), signal);
    const first = call('1', leaving.signal);
    const second = call('2', NEVER);
    setTimeout(() => leaving.abort(new CriError('CANCELLED', 'gone')), 10);
    await assert.rejects(first, { message: 'gone' });
    await second;
    assert.deepEqual(seen, ['begin 1', 'end 1', 'begin 2', 'end 2']);
  });

  test('closes a plugin for which too many calls wait', async (t) => {
    const plugin = await registered(t, A, { runPodSandbox: () => new Promise<never>(() => undefined) });
    const call = (): Promise<string> => {
      const { signal } = new AbortController();
      return plugin.call('RunPodSandbox', () => ({ pod }), signal).then(() => 'ok', text);
    };
    const waiting = Array.from({ length: MAX_WAITING_CALLS }, call);
    assert.equal(plugin.closed, undefined);
    const refused = `RESOURCE_EXHAUSTED: ${MAX_WAITING_CALLS} calls wait for the plugin`;
    assert.equal(await call(), refused);
    assert.deepEqual(new Set(await Promise.all(waiting)), new Set([refused]));
  });

  test('that an old plugin does not have is sent as a StateChange, from then on at once', async (t) => {
    const events: StateChangeEvent[] = [];
    const calls: string[] = [];
    const plugin = await registered(
      t,
      A,
      {
        stateChange: async (event) => {
          events.push(event);
          return {};
        },
      },
      { onCall: ({ call, code }) => void calls.push(`${call} ${code}`) },
    );
    await plugin.call('RunPodSandbox', () => ({ pod }), NEVER);
    await plugin.call('RunPodSandbox', () => ({ pod }), NEVER);
    assert.deepEqual(events, Array(2).fill({ event: Event.RUN_POD_SANDBOX, pod, container: undefined }));
    assert.deepEqual(calls, ['RunPodSandbox UNIMPLEMENTED', 'StateChange OK', 'StateChange OK']);
  });

  test('that has no StateChange is left out if the plugin asked for all events, and otherwise fails', async (t) => {
    const create = () => ({ pod, container: undefined });
    const all = await registered(t, A);
    assert.equal(await all.call('CreateContainer', create, NEVER), undefined);
    const some = await registered(t, A, { configure: async () => ({ events: 2 ** 3, failure_policy: undefined }) });
    await assert.rejects(some.call('CreateContainer', create, NEVER), (thrown) => {
      return thrown instanceof PeerError && thrown.code === 'UNIMPLEMENTED';
    });
  });
});

describe('Synchronize', () => {
  const containers = Array.from({ length: 9 }, (_, index) =>
    Container.fromPartial({ id: `c${index}`, annotations: { large: 'x'.repeat(2 ** 20) } }),
  );

  test('sends what does not fit into one message in pieces', async (t) => {
    const pieces: string[] = [];
    const update = [{ container_id: 'c0', linux: undefined, ignore_failure: false }];
    const plugin = await registered(t, A, {
      synchronize: async ({ pods, containers, more }) => {
        pieces.push(`${pods.length} pods, ${containers.map(({ id }) => id).join(' ')}${more ? ', more' : ''}`);
        return { update: more ? [] : update, more };
      },
    });
    assert.deepEqual(await plugin.synchronize(async () => ({ pods: [pod], containers })), update);
    assert.deepEqual(pieces, ['1 pods, c0 c1 c2, more', '0 pods, c3 c4 c5, more', '0 pods, c6 c7 c8']);
  });

  test('has the time of the registration, which is longer than that of a call', async (t) => {
    const plugin = await registered(
      t,
      A,
      {
        synchronize: async () => {
          await sleep(200);
          return { update: [], more: false };
        },
      },
      { requestTimeoutMs: () => 100 },
    );
    assert.deepEqual(await plugin.synchronize(async () => ({ pods: [pod], containers: [] })), []);
  });

  test('fails if the plugin does not know pieces, or if a container is too large for any', async (t) => {
    const plugin = await registered(t, A, { synchronize: async () => ({ update: [], more: false }) });
    await assert.rejects(
      plugin.synchronize(async () => ({ pods: [], containers })),
      { code: 'FAILED_PRECONDITION', message: 'the plugin does not know Synchronize in pieces' },
    );
    const large = Container.fromPartial({ id: 'large', annotations: { large: 'x'.repeat(2 ** 22) } });
    await assert.rejects(
      plugin.synchronize(async () => ({ pods: [], containers: [large] })),
      { code: 'RESOURCE_EXHAUSTED', message: /^container "large" has \d+ bytes$/ },
    );
  });
});
