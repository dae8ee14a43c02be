import assert from 'node:assert/strict';
import { describe, test, type TestContext } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { Container, PodSandbox } from '../../../generated/nri/v1alpha1/api.js';
import { withResolvers, type Resolvers } from '../../../src/base/async.js';
import { CriError } from '../../../src/base/errors.js';
import { defaultConfig, type NriConfig } from '../../../src/config/schema.js';
import type { Subject } from '../../../src/nri/port.js';
import { createRegistry, type Registry } from '../../../src/nri/registry.js';
import { until } from '../../harness/memory-node/memory-crid.js';
import { silent } from '../containerd/fake-containerd.js';
import { registered } from './fake-plugin.js';

type Policies = Record<string, Partial<NriConfig['plugins'][string]>>;

/** Long enough for Configure and Synchronize on a busy machine. */
const LATE_MS = 400;
const NEVER = new AbortController().signal;
const usual: NriConfig['plugins'][string] = {
  required: false,
  failure_policy: 'ignore',
  exempt_namespaces: [],
  request_timeout: '',
};

function registryWith(policies: Policies = {}, known: () => Subject[] = () => []): Registry {
  const plugins = Object.fromEntries(Object.entries(policies).map(([name, own]) => [name, { ...usual, ...own }]));
  return createRegistry({ log: silent, config: { ...defaultConfig().nri, plugins }, known });
}

const container = (id: string): Subject => ({
  kind: 'container',
  id,
  message: async () => Container.fromPartial({ id }),
});

type Handlers = Parameters<typeof registered>[2];

/** Adds a plugin, which records its calls in `seen`. */
async function join(
  t: TestContext,
  registry: Registry,
  name: string,
  { seen = [], timeoutMs = 2_000, ...handlers }: Handlers & { seen?: string[]; timeoutMs?: number } = {},
): Promise<string[]> {
  const [index = '', short = ''] = name.split('-');
  const plugin = await registered(
    t,
    { name: short, index },
    {
      synchronize: async ({ pods, containers }) => {
        seen.push(`${name}: ${[...pods, ...containers].map(({ id }) => id).join(' ')}`);
        return { update: [], more: false };
      },
      runPodSandbox: async ({ pod }) => {
        seen.push(`${name} ${pod!.id}`);
        return {};
      },
      createContainer: async ({ container }) => {
        seen.push(`${name} ${container!.id}`);
        return { adjust: undefined, update: [], evict: [] };
      },
      ...handlers,
    },
    { requestTimeoutMs: () => timeoutMs },
  );
  await registry.join(plugin);
  return seen;
}

/** Closes the connection of a plugin, as its death does. */
const lose = (registry: Registry, name: string): void =>
  registry
    .list()
    .find((plugin) => plugin.name === name)
    ?.close(new CriError('UNAVAILABLE', 'lost'));

const run = (registry: Registry, id: string, namespace = 'default'): Promise<string> =>
  registry
    .ask('RunPodSandbox', {
      ...{ podId: id, namespace, time: { signal: NEVER } },
      request: () => ({ pod: PodSandbox.fromPartial({ id }) }),
    })
    .then(
      () => 'ok',
      (thrown: unknown) => `${CriError.from(thrown).code}: ${CriError.from(thrown).message}`,
    );
const create = (registry: Registry, id: string, namespace = 'default', since = registry.snapshot()): Promise<string> =>
  registry
    .ask('CreateContainer', {
      ...{ podId: 'pod', namespace, time: { signal: NEVER }, since },
      request: () => ({ pod: undefined, container: Container.fromPartial({ id }) }),
    })
    .then(
      () => 'ok',
      (thrown: unknown) => `${CriError.from(thrown).code}: ${CriError.from(thrown).message}`,
    );

describe('plugins', () => {
  test('are asked in the order of their indexes', async (t) => {
    const registry = registryWith();
    const seen: string[] = [];
    for (const name of ['20-c', '00-a', '10-b']) await join(t, registry, name, { seen });
    seen.length = 0;
    assert.equal(await run(registry, 'p'), 'ok');
    assert.deepEqual(seen, ['00-a p', '10-b p', '20-c p']);
  });

  test('that refuse fail the request, and the plugins after them are not asked', async (t) => {
    const registry = registryWith();
    await join(t, registry, '00-a', {
      runPodSandbox: async () => {
        throw new CriError('PERMISSION_DENIED', 'not today');
      },
    });
    const later = await join(t, registry, '10-b');
    assert.equal(await run(registry, 'p'), 'PERMISSION_DENIED: NRI plugin 00-a: RunPodSandbox: not today');
    assert.deepEqual([later, registry.list().length], [['10-b: '], 2]);
  });

  test('that are late are closed and passed over, unless a policy says otherwise', async (t) => {
    const hang = { runPodSandbox: () => new Promise<never>(() => undefined), timeoutMs: LATE_MS };
    const configure = (fail_request: boolean, keep_connected: boolean) => async () => ({
      events: 0,
      failure_policy: { fail_request, keep_connected },
    });
    const outcome = async (policies: Policies, failRequest = false, keep = false): Promise<unknown[]> => {
      const registry = registryWith(policies);
      await join(t, registry, '00-a', { ...hang, configure: configure(failRequest, keep) });
      return [await run(registry, 'p'), registry.list().length];
    };
    const late = 'DEADLINE_EXCEEDED: NRI plugin 00-a: RunPodSandbox: no response within 0.4 s';
    assert.deepEqual(
      [
        await outcome({}),
        await outcome({}, true),
        await outcome({}, false, true),
        await outcome({ a: { failure_policy: 'fail' } }),
        await outcome({ '00-a': { failure_policy: 'fail' } }, false, true),
        await outcome({ b: { failure_policy: 'fail' } }),
      ],
      [
        ['ok', 0],
        [late, 0],
        ['ok', 1],
        [late, 0],
        [late, 1],
        ['ok', 0],
      ],
    );
  });

  test('that are lost while an earlier one is asked fail the request, if a policy says so', async (t) => {
    const outcome = async (call: typeof run, policies: Policies, failRequest = false): Promise<string> => {
      const registry = registryWith(policies);
      const loseNext = async (): Promise<void> => lose(registry, '10-b');
      await join(t, registry, '00-a', {
        runPodSandbox: async () => {
          await loseNext();
          return {};
        },
        createContainer: async () => {
          await loseNext();
          return { adjust: undefined, update: [], evict: [] };
        },
      });
      const failure_policy = { fail_request: failRequest, keep_connected: false };
      const seen = await join(t, registry, '10-b', { configure: async () => ({ events: 0, failure_policy }) });
      const result = await call(registry, 'p');
      assert.deepEqual(seen, ['10-b: ']);
      return result;
    };
    const required: Policies = { b: { required: true } };
    assert.deepEqual(
      [
        await outcome(create, {}),
        await outcome(create, required),
        await outcome(run, required),
        await outcome(create, { b: { failure_policy: 'fail' } }),
        await outcome(run, {}, true),
      ],
      [
        'ok',
        'UNAVAILABLE: NRI plugin 10-b: CreateContainer: lost',
        'ok',
        'UNAVAILABLE: NRI plugin 10-b: CreateContainer: lost',
        'UNAVAILABLE: NRI plugin 10-b: RunPodSandbox: lost',
      ],
    );
  });

  test('that are required fail a create that they are late for', async (t) => {
    const registry = registryWith({ a: { required: true } });
    await join(t, registry, '00-a', { createContainer: () => new Promise<never>(() => undefined), timeoutMs: LATE_MS });
    assert.equal(
      await create(registry, 'c'),
      'DEADLINE_EXCEEDED: NRI plugin 00-a: CreateContainer: no response within 0.4 s',
    );
  });

  test('that hang delay no pod of a namespace that they are exempt from', async (t) => {
    const registry = registryWith({ a: { exempt_namespaces: ['kube-system'], failure_policy: 'fail' } });
    const hung = withResolvers<Record<string, never>>();
    await join(t, registry, '00-a', { runPodSandbox: () => hung.promise });
    const waiting = run(registry, 'p');
    assert.equal(await run(registry, 'q', 'kube-system'), 'ok');
    await sleep(20);
    assert.equal(registry.waitingOn('p'), 'NRI plugin 00-a');
    hung.resolve({});
    assert.equal(await waiting, 'ok');
    assert.equal(registry.waitingOn('p'), undefined);
  });

  test('that are required and not registered block a create outside of the exempt namespaces', async (t) => {
    const registry = registryWith({ a: { required: true, exempt_namespaces: ['kube-system'] } });
    const missing = 'FAILED_PRECONDITION: the required NRI plugin "a" is not registered';
    assert.deepEqual([registry.wants('CreateContainer'), registry.wants('RunPodSandbox')], [true, false]);
    assert.deepEqual([await create(registry, 'c'), await create(registry, 'd', 'kube-system')], [missing, 'ok']);
    await join(t, registry, '00-a');
    assert.equal(await create(registry, 'c'), 'ok');
  });
});

describe('plugins that are only told', () => {
  type Told = 'StartContainer' | 'PostStartContainer';
  const tell = (registry: Registry, call: Told, id = 'c'): Promise<string> =>
    registry
      .ask(call, {
        ...{ podId: 'p', namespace: 'default', time: { signal: NEVER } },
        request: () => ({ pod: undefined, container: Container.fromPartial({ id }) }),
      })
      .then(
        () => 'ok',
        (thrown: unknown) => `${CriError.from(thrown).code}: ${CriError.from(thrown).message}`,
      );
  const refuse = (message: string) => async () => {
    throw new CriError('PERMISSION_DENIED', message);
  };

  test('get a notice at the same time, and each its own calls in order', async (t) => {
    const registry = registryWith();
    const slow = withResolvers<Record<string, never>>();
    const seen: string[] = [];
    const recording = (name: string, answer: () => Promise<Record<string, never>> = async () => ({})) => ({
      startContainer: async () => {
        seen.push(`${name} start`);
        return {};
      },
      postStartContainer: () => {
        seen.push(`${name} started`);
        return answer();
      },
    });
    await join(
      t,
      registry,
      '00-a',
      recording('a', () => slow.promise),
    );
    await join(t, registry, '10-b', recording('b'));
    const told = [tell(registry, 'StartContainer'), tell(registry, 'PostStartContainer')];
    const next = tell(registry, 'StartContainer', 'd');
    await until('both are told', () => seen.length === 4);
    assert.deepEqual(seen, ['a start', 'b start', 'a started', 'b started']);
    await until('only the slow one is waited for', () => registry.waitingOn('p') === 'NRI plugin 00-a');
    slow.resolve({});
    assert.deepEqual(await Promise.all([...told, next]), ['ok', 'ok', 'ok']);
    assert.deepEqual(seen.slice(4), ['a start', 'b start']);
  });

  test('get a notice that an earlier one refuses, and the error names each that does', async (t) => {
    const registry = registryWith();
    const seen: string[] = [];
    await join(t, registry, '00-a', { startContainer: refuse('no'), postStartContainer: refuse('no') });
    await join(t, registry, '10-b', {
      startContainer: async () => {
        seen.push('start');
        return {};
      },
      postStartContainer: async () => {
        seen.push('started');
        return {};
      },
    });
    await join(t, registry, '20-c', { postStartContainer: refuse('nor I') });
    assert.deepEqual(
      [await tell(registry, 'StartContainer'), await tell(registry, 'PostStartContainer'), seen],
      [
        'PERMISSION_DENIED: NRI plugin 00-a: StartContainer: no',
        'PERMISSION_DENIED: NRI plugin 00-a: PostStartContainer: no; NRI plugin 20-c: PostStartContainer: nor I',
        ['started'],
      ],
    );
  });

  test('and are late are closed, and fail the notice only by their own policy', async (t) => {
    const registry = registryWith({ b: { failure_policy: 'fail' } });
    const hang = { postStartContainer: () => new Promise<never>(() => undefined), timeoutMs: LATE_MS };
    for (const name of ['00-a', '10-b']) await join(t, registry, name, hang);
    assert.deepEqual(
      [await tell(registry, 'PostStartContainer'), registry.list().length],
      ['DEADLINE_EXCEEDED: NRI plugin 10-b: PostStartContainer: no response within 0.4 s', 0],
    );
  });
});

describe('plugins that validate', () => {
  const validate = (registry: Registry, since = registry.snapshot()): Promise<string> =>
    registry
      .ask('ValidateContainerAdjustment', {
        ...{ podId: 'p', namespace: 'default', time: { signal: NEVER }, since },
        request: () => ({ ...{ pod: undefined, container: undefined, adjust: undefined }, ...NOTHING }),
        take: ({ reason }) => {
          if (reason) throw new CriError('FAILED_PRECONDITION', reason);
        },
      })
      .then(
        () => 'ok',
        (thrown: unknown) => CriError.from(thrown).message,
      );
  const NOTHING = { update: [], owners: undefined, plugins: [] };

  test('are asked at the same time, and the first by index is the one that the caller reads', async (t) => {
    const registry = registryWith();
    const [first, second] = [withResolvers<void>(), withResolvers<void>()];
    const validating = (mine: Resolvers<void>, others: Resolvers<void>, reason: string) => async () => {
      mine.resolve();
      await others.promise;
      return { reject: true, reason };
    };
    await join(t, registry, '00-a', { validateContainerAdjustment: validating(first, second, 'a says no') });
    await join(t, registry, '10-b', { validateContainerAdjustment: validating(second, first, 'b says no') });
    assert.equal(await validate(registry), 'a says no');
  });

  test('are not missed in a create that has gone on without them', async (t) => {
    const registry = registryWith();
    await join(t, registry, '00-a', {
      createContainer: async () => {
        lose(registry, '00-a');
        return { adjust: undefined, update: [], evict: [] };
      },
    });
    const since = registry.snapshot();
    assert.deepEqual([await create(registry, 'c', 'default', since), await validate(registry, since)], ['ok', 'ok']);
  });

  test('and are lost since the create began fail it, outside of the exempt namespaces', async (t) => {
    const outcome = async (exempt: string[]): Promise<string> => {
      const registry = registryWith({ a: { exempt_namespaces: exempt } });
      await join(t, registry, '00-a', { validateContainerAdjustment: async () => ({ reject: false, reason: '' }) });
      const since = registry.snapshot();
      lose(registry, '00-a');
      return validate(registry, since);
    };
    assert.deepEqual(
      [await outcome([]), await outcome(['default'])],
      ['NRI plugin 00-a: ValidateContainerAdjustment: lost', 'ok'],
    );
  });
});

describe('a plugin that takes longer than the caller has left', () => {
  test('fails the request without any policy, and keeps its own limit', async (t) => {
    const registry = registryWith();
    const slow = withResolvers<Record<string, never>>();
    await join(t, registry, '00-a', { runPodSandbox: () => slow.promise });
    const asked = registry.ask('RunPodSandbox', {
      ...{ podId: 'p', namespace: 'default', time: { signal: NEVER, dueInMs: () => 400 } },
      request: () => ({ pod: PodSandbox.fromPartial({ id: 'p' }) }),
    });
    await assert.rejects(asked, {
      code: 'DEADLINE_EXCEEDED',
      message: 'NRI plugin 00-a: RunPodSandbox: not done within 0.3 s, the time of the caller',
    });
    const next = run(registry, 'q');
    slow.resolve({});
    assert.deepEqual([await next, registry.list().length], ['ok', 1]);
  });

  test('is closed when its own limit is over, although the caller has left', async (t) => {
    const registry = registryWith();
    await join(t, registry, '00-a', { runPodSandbox: () => new Promise<never>(() => undefined), timeoutMs: LATE_MS });
    const asked = registry.ask('RunPodSandbox', {
      ...{ podId: 'p', namespace: 'default', time: { signal: NEVER, dueInMs: () => 20 } },
      request: () => ({ pod: PodSandbox.fromPartial({ id: 'p' }) }),
    });
    await assert.rejects(asked, { code: 'DEADLINE_EXCEEDED' });
    assert.equal(registry.list().length, 1);
    await sleep(2 * LATE_MS);
    assert.equal(registry.list().length, 0);
  });
});

describe('a plugin that joins', () => {
  test('gets each container once: with the state, or by its own call after that', async (t) => {
    const registry = registryWith({}, () => [container('old')]);
    const asked = withResolvers<void>();
    const slow = withResolvers<void>();
    const first = await join(t, registry, '00-a', {
      createContainer: async () => {
        asked.resolve();
        await slow.promise;
        return { adjust: undefined, update: [], evict: [] };
      },
    });
    registry.creating(container('before'));
    const before = create(registry, 'before');
    await asked.promise;

    const synchronizing = withResolvers<void>();
    const reached = withResolvers<void>();
    const seen: string[] = [];
    const joining = join(t, registry, '10-b', {
      seen,
      synchronize: async ({ containers }) => {
        reached.resolve();
        await synchronizing.promise;
        seen.push(`state: ${containers.map(({ id }) => id).join(' ')}`);
        return { update: [], more: false };
      },
    });
    await reached.promise;
    registry.creating(container('during'));
    const during = create(registry, 'during');
    slow.resolve();
    assert.equal(await before, 'ok');
    await sleep(20);
    assert.deepEqual(seen, []);
    synchronizing.resolve();
    await joining;
    assert.equal(await during, 'ok');
    assert.deepEqual([first, seen], [['00-a: old'], ['state: before old', '10-b during']]);
  });

  test('does not get a container whose creation has failed', async (t) => {
    const registry = registryWith();
    registry.creating(container('failed'));
    registry.settled('failed');
    assert.deepEqual(await join(t, registry, '00-a'), ['00-a: ']);
  });
});
