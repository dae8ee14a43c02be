import assert from 'node:assert/strict';
import { test } from 'node:test';
import { PodSandbox } from '../../../generated/nri/v1alpha1/api.js';
import { ContainerConfig } from '../../../generated/runtime/v1/api.js';
import { withResolvers } from '../../../src/base/async.js';
import { defaultConfig } from '../../../src/config/schema.js';
import { createRegistry } from '../../../src/nri/registry.js';
import { createStopNotices } from '../../../src/nri/stop-notices.js';
import { tellStep } from '../../../src/nri/tell.js';
import type { Steps } from '../../../src/operation/steps.js';
import type { Container } from '../../../src/state/records.js';
import { until } from '../../harness/memory-node/memory-crid.js';
import { silent } from '../containerd/fake-containerd.js';
import { richSpec } from './adjustments.js';
import { registered } from './fake-plugin.js';

const NEVER = new AbortController().signal;

test('a notice that waits for its turn when the time of the caller is over is sent nevertheless', async (t) => {
  const registry = createRegistry({ log: silent, config: defaultConfig().nri, known: () => [] });
  const busy = withResolvers<Record<string, never>>();
  const told: string[] = [];
  const plugin = await registered(
    t,
    { name: 'a', index: '10' },
    {
      synchronize: async () => ({ update: [], more: false }),
      runPodSandbox: () => busy.promise,
      stopPodSandbox: async ({ pod }) => {
        told.push(pod!.id);
        return {};
      },
    },
  );
  await registry.join(plugin);
  const about = (id: string) => ({
    podId: id,
    namespace: '',
    request: () => ({ pod: PodSandbox.fromPartial({ id }) }),
  });
  const running = registry.ask('RunPodSandbox', { ...about('other'), time: { signal: NEVER } });
  const steps = {
    answerDueInMs: () => 40,
    step: (_name: string, run: (signal: AbortSignal) => Promise<void>) => run(NEVER),
  } as unknown as Steps;
  const { request, ...place } = about('pod');
  await tellStep({ plugins: registry, log: silent }, steps, 'StopPodSandbox', {
    ...place,
    request: async () => request(),
  });
  assert.deepEqual(told, []);
  busy.resolve({});
  await running;
  await until('the stop is told', () => told.length > 0);
  assert.deepEqual(told, ['pod']);
});

test('a stop that is being told is waited for, also when the notice of an earlier stop ends meanwhile', async () => {
  const asks = [withResolvers(), withResolvers()];
  const isNews = [true, true, false];
  let asked = 0;
  const stops = createStopNotices({
    plugins: { wants: () => true, ask: () => asks[asked++]!.promise },
    told: { stop: () => isNews.shift() },
    state: { pods: { byId: () => undefined }, containers: { onChange: () => () => undefined } },
    specs: { ofContainer: async () => richSpec() },
    log: silent,
  } as unknown as Parameters<typeof createStopNotices>[0]);
  const container = {
    ...{ id: 'c', podId: 'p', imageId: '', imageName: '', imageDigest: '', createdAtNs: 0n },
    config: ContainerConfig.fromPartial({}),
    state: { phase: 'created' },
  } as unknown as Container;
  const first = stops.tell(container);
  const second = stops.tell(container);
  await until('both are told', () => asked === 2);
  asks[0]!.resolve();
  await first;
  let hasEnded = false;
  const third = stops.tell(container).then(() => (hasEnded = true));
  await new Promise(setImmediate);
  assert.equal(hasEnded, false);
  asks[1]!.resolve();
  await Promise.all([second, third]);
});
