import assert from 'node:assert/strict';
import { afterEach, describe, test } from 'node:test';
import { ContainerAdjustment } from '../../../generated/nri/v1alpha1/api.js';
import { withResolvers } from '../../../src/base/async.js';
import { runPod, type RunningPod } from '../../harness/pod.js';
import { limitMs } from '../../harness/slowness.js';
import { failureOf, startSuite, type Suite, type SuiteOptions } from '../rpc/suite.js';
import { joinWirePlugin, untilCalled, type WirePlugin } from './wire-plugin.js';

/**
 * Twenty pods that are made while a plugin fails, under each policy. The plugin looks at half of them, and is exempt
 * from the other half, which must not wait for it.
 */

const EACH = 10;
const [LOOKED_AT, EXEMPT] = ['test', 'exempt'] as const;
/** Longer than the ten other pods take on a busy machine. */
const LIMIT = `${limitMs(30_000)}ms`;
const exempt_namespaces = [EXEMPT];
const NOT_REGISTERED = 'ask NRI plugins: CreateContainer: the required NRI plugin "agent" is not registered';

const withPlugins = (plugins: object): SuiteOptions => ({
  isEmptiedAfterEach: true,
  crid: () => ({ config: { nri: { plugin_request_timeout: '60s', plugins } } }),
});

const hang = (): Promise<never> => new Promise(() => undefined);

/** The ways of a plugin to fail at CreateContainer. Its other calls wait for that one. */
const FAULTS: Readonly<Record<string, (plugin: WirePlugin) => Promise<unknown>>> = {
  hangs: hang,
  dies(plugin) {
    plugin.close();
    return hang();
  },
  async 'responds too late'(plugin) {
    await new Promise<void>((resolve) => plugin.trunk.onClose(() => resolve()));
    return { adjust: LATE, update: [], evict: [] };
  },
};
const LATE = ContainerAdjustment.fromPartial({ env: [{ key: 'LATE', value: 'yes' }] });

interface Outcome {
  readonly id: string;
  /** Why the container was not created, or ''. */
  readonly error: string;
}

/**
 * Creates a container in ten pods that the plugin looks at, and starts ten other pods with a container meanwhile.
 * `ended` gets the namespace of each create that has ended.
 */
async function startPods({ crid, stack }: Suite): Promise<{
  lookedAt: Promise<Outcome[]>;
  exempt: Promise<Outcome[]>;
  ended: string[];
}> {
  const ten = <T>(make: () => Promise<T>): Promise<T[]> => Promise.all(Array.from({ length: EACH }, make));
  const sandbox = (namespace: string): Promise<RunningPod> => runPod(crid, stack, { metadata: { namespace } });
  const ended: string[] = [];
  const start = async (pod: RunningPod): Promise<Outcome> => {
    const creating = pod.create();
    const id = await creating.catch(() => '');
    ended.push(pod.config.metadata?.namespace ?? '');
    if (id === '') return { id, error: (await failureOf(creating)).message };
    await crid.runtime.startContainer({ container_id: id });
    return { id, error: '' };
  };
  const ready = await ten(() => sandbox(LOOKED_AT));
  return {
    lookedAt: Promise.all(ready.map(start)),
    exempt: ten(async () => start(await sandbox(EXEMPT))),
    ended,
  };
}

const plugins: WirePlugin[] = [];
async function join(...args: Parameters<typeof joinWirePlugin>): Promise<WirePlugin> {
  const plugin = await joinWirePlugin(...args);
  plugins.push(plugin);
  return plugin;
}

/** Makes the pods while the plugin fails. Returns what became of those that it looks at. */
async function outcomesBeside(suite: Suite, name: string, fault: keyof typeof FAULTS): Promise<Outcome[]> {
  const socket = suite.crid.nriSocket;
  // Each create chooses its plugins before the first one is asked, so each of the ten meets the fault.
  const first = await join(socket, '00-first', undefined, ['CreateContainer']);
  const othersRun = withResolvers();
  const createContainer = async (own: WirePlugin): Promise<unknown> => {
    await Promise.all([untilCalled(first, 'CreateContainer', EACH), othersRun.promise]);
    return FAULTS[fault]!(own);
  };
  const plugin = await join(
    socket,
    name,
    (own) => ({ createContainer: () => createContainer(own) as Promise<never> }),
    ['CreateContainer'],
  );
  const { lookedAt, exempt, ended } = await startPods(suite);
  const others = await exempt;
  assert.deepEqual(ended, Array(EACH).fill(EXEMPT), 'the others do not wait for the plugin');
  assert.deepEqual(errorsOf(others), Array(EACH).fill(''));
  othersRun.resolve();
  const outcomes = await lookedAt;
  await plugin.closed();
  const calls = [first, plugin].map((each) => each.calls.filter((call) => call === 'CreateContainer').length);
  assert.deepEqual(calls, [EACH, 1], 'no plugin is asked about the others');
  return outcomes;
}

const errorsOf = (outcomes: readonly Outcome[]): string[] => outcomes.map(({ error }) => error);

const closeAll = (): void => {
  for (const plugin of plugins.splice(0)) plugin.close();
};

describe('twenty pods beside a plugin that fails', { timeout: 600_000 }, () => {
  const suite = startSuite(
    withPlugins({
      first: { exempt_namespaces },
      plain: { exempt_namespaces, request_timeout: LIMIT },
      guard: { exempt_namespaces, request_timeout: LIMIT, failure_policy: 'fail' },
    }),
  );
  afterEach(closeAll);

  for (const fault of Object.keys(FAULTS)) {
    test(`that ${fault}, with the policy "ignore": all run, without what it wanted`, async () => {
      const outcomes = await outcomesBeside(suite, '10-plain', fault);
      assert.deepEqual(errorsOf(outcomes), Array(EACH).fill(''));
      for (const { id } of outcomes) {
        const { info } = await suite.crid.runtime.containerStatus({ container_id: id, verbose: true });
        assert.doesNotMatch(info['info'] ?? '', /LATE/);
      }
    });

    test(`that ${fault}, with the policy "fail": those that it looks at fail by its name, later ones go on`, async () => {
      const errors = errorsOf(await outcomesBeside(suite, '10-guard', fault));
      assert.deepEqual(
        errors.filter((error) => !error.includes('NRI plugin 10-guard: CreateContainer: ')),
        [],
      );
      await (await runPod(suite.crid, suite.stack)).run();
    });
  }
});

describe('twenty pods beside a required plugin', { timeout: 600_000 }, () => {
  const suite = startSuite(
    withPlugins({ first: { exempt_namespaces }, agent: { exempt_namespaces, required: true, request_timeout: LIMIT } }),
  );
  afterEach(closeAll);

  test('that is not registered: those that it looks at fail by its name, the others run', async () => {
    const { lookedAt, exempt } = await startPods(suite);
    assert.deepEqual(
      [errorsOf(await lookedAt), errorsOf(await exempt)],
      [Array(EACH).fill(NOT_REGISTERED), Array(EACH).fill('')],
    );
  });

  test('that dies: those that it looks at fail by its name, until it is registered again', async () => {
    const errors = errorsOf(await outcomesBeside(suite, '10-agent', 'dies'));
    assert.deepEqual(
      errors.filter((error) => !error.includes('NRI plugin 10-agent: CreateContainer: ')),
      [],
    );
    const pod = await runPod(suite.crid, suite.stack);
    const lost = await failureOf(pod.run());
    assert.equal(lost.message, NOT_REGISTERED);
    await join(suite.crid.nriSocket, '10-agent');
    await pod.run();
  });
});
