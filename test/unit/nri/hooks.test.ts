import assert from 'node:assert/strict';
import { afterEach, beforeEach, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import {
  ContainerAdjustment,
  ContainerState,
  ContainerUpdate,
  type ContainerEviction,
} from '../../../generated/nri/v1alpha1/api.js';
import { LinuxContainerResources } from '../../../generated/runtime/v1/api.js';
import type { PluginCall } from '../../../src/nri/port.js';
import type { OciSpec } from '../../../src/spec/oci.js';
import { until, type MemoryCrid } from '../../harness/memory-node/memory-crid.js';
import { APP_IMAGE, createMemoryNode, type MemoryNode } from '../../harness/memory-node/memory-node.js';
import { memoryPlugins, type Answers, type MemoryPlugins } from '../../harness/memory-node/memory-plugins.js';
import { CALLER, createApp, containerRequest, runPod } from '../../harness/memory-node/requests.js';
import { stepsOf } from '../../harness/memory-node/steps.js';
import type { Partially } from '../spec/inputs.js';

let node: MemoryNode;
beforeEach(async () => {
  node = await createMemoryNode();
});
afterEach(() => node.remove());

const A = { name: 'a', index: '10' };
const B = { name: 'b', index: '20' };
const plugin = (answers: Answers = {}, instance = A) => ({ instance, answers });
const adjustBy = (adjust: Partially<typeof ContainerAdjustment>): Answers => ({
  CreateContainer: () => ({ adjust: ContainerAdjustment.fromPartial(adjust) }),
});
const names = ({ calls }: MemoryPlugins): string[] => calls.map((call) => call.split(' ')[0] ?? '');

interface Started {
  readonly crid: MemoryCrid;
  readonly pod: string;
  readonly app: string;
}

async function created(plugins: MemoryPlugins): Promise<Started> {
  const crid = await node.start({ plugins });
  const pod = await runPod(crid);
  return { crid, pod, app: await createApp(crid, pod, APP_IMAGE) };
}

async function started(plugins: MemoryPlugins): Promise<Started> {
  const all = await created(plugins);
  await all.crid.startContainer({ container_id: all.app }, CALLER);
  return all;
}

async function specOf(id: string): Promise<OciSpec> {
  const { spec } = (await node.dump()).containerd['containers']?.[id] as { spec: string };
  return JSON.parse(spec) as OciSpec;
}

test('a plugin is told the life of a pod and its container, each event once and in order', async () => {
  const plugins = memoryPlugins(plugin());
  const { crid, pod, app } = await created(plugins);
  const linux = LinuxContainerResources.fromPartial({ cpu_shares: 100n });
  await crid.updateContainerResources({ container_id: app, linux, windows: undefined, annotations: {} }, CALLER);
  await crid.startContainer({ container_id: app }, CALLER);
  await crid.updatePodSandboxResources({ pod_sandbox_id: pod, overhead: undefined, resources: linux }, CALLER);
  await crid.stopContainer({ container_id: app, timeout: 0n }, CALLER);
  await crid.removeContainer({ container_id: app }, CALLER);
  await crid.stopPodSandbox({ pod_sandbox_id: pod }, CALLER);
  await crid.removePodSandbox({ pod_sandbox_id: pod }, CALLER);
  assert.deepEqual(names(plugins), [
    'RunPodSandbox',
    'CreateContainer',
    'ValidateContainerAdjustment',
    'PostCreateContainer',
    'UpdateContainer',
    'PostUpdateContainer',
    'StartContainer',
    'PostStartContainer',
    'UpdatePodSandbox',
    'PostUpdatePodSandbox',
    'StopContainer',
    'RemoveContainer',
    'StopPodSandbox',
    'RemovePodSandbox',
  ]);
  const seen = new Map(names(plugins).map((name, index) => [name, plugins.requests[index]!]));
  assert.deepEqual(
    [...seen.values()].map(({ pod: of, container }) => [of?.id, container?.id]),
    names(plugins).map((name) => [pod, name.includes('Container') ? app : undefined]),
  );
  const state = (name: string): ContainerState | undefined => seen.get(name)?.container?.state;
  assert.deepEqual(
    ['CreateContainer', 'PostCreateContainer', 'StartContainer', 'PostStartContainer', 'StopContainer'].map(state),
    [
      ContainerState.CONTAINER_UNKNOWN,
      ContainerState.CONTAINER_CREATED,
      ContainerState.CONTAINER_CREATED,
      ContainerState.CONTAINER_RUNNING,
      ContainerState.CONTAINER_STOPPED,
    ],
  );
  assert.ok(seen.get('StartContainer')!.container!.pid > 0);
  assert.ok(seen.get('RunPodSandbox')!.pod!.pid > 0);
  assert.equal(seen.get('RunPodSandbox')!.pod!.ips.length, 1);
  assert.deepEqual([...plugins.announced], []);
});

test('the calls of a start read no record again, and have the resources of an update before it', async () => {
  const plugins = memoryPlugins(plugin());
  const { crid, app } = await created(plugins);
  const reads = (): number => crid.calls.filter((call) => /^containers[./]get/i.test(call)).length;
  const linux = LinuxContainerResources.fromPartial({ cpu_shares: 100n });
  await crid.updateContainerResources({ container_id: app, linux, windows: undefined, annotations: {} }, CALLER);
  const before = reads();
  assert.ok(before > 0);
  await crid.startContainer({ container_id: app }, CALLER);
  const { container } = plugins.requests.at(-1)!;
  assert.deepEqual([reads() - before, container?.linux?.resources?.cpu?.shares?.value], [0, 100n]);
});

test('the exit of a container is told as a stop, and not again by a stop or a removal', async () => {
  const plugins = memoryPlugins(plugin());
  const { crid, app } = await started(plugins);
  node.containerd.exit(app, 3);
  await until('the stop is told', () => names(plugins).includes('StopContainer'));
  await crid.stopContainer({ container_id: app, timeout: 0n }, CALLER);
  await crid.removeContainer({ container_id: app }, CALLER);
  assert.deepEqual(names(plugins).slice(-2), ['StopContainer', 'RemoveContainer']);
  assert.equal(plugins.requests.at(-2)?.container?.exit_code, 3);
});

test('a container that was never started is told to be stopped before its removal is told', async () => {
  const plugins = memoryPlugins(plugin());
  const crid = await node.start({ plugins });
  const app = await createApp(crid, await runPod(crid), APP_IMAGE);
  await crid.removeContainer({ container_id: app }, CALLER);
  assert.deepEqual(names(plugins).slice(-2), ['StopContainer', 'RemoveContainer']);
});

test('a container that was never started is told to be stopped at its stop, once, and again if it runs after all', async () => {
  const plugins = memoryPlugins(plugin());
  const { crid, app } = await created(plugins);
  const told = (): string[] => names(plugins).filter((name) => /^(Stop|Start|Remove)Container$/.test(name));
  await crid.stopContainer({ container_id: app, timeout: 0n }, CALLER);
  await crid.stopContainer({ container_id: app, timeout: 0n }, CALLER);
  assert.deepEqual(told(), ['StopContainer']);
  await crid.startContainer({ container_id: app }, CALLER);
  await crid.stopContainer({ container_id: app, timeout: 0n }, CALLER);
  await crid.removeContainer({ container_id: app }, CALLER);
  assert.deepEqual(told(), ['StopContainer', 'StartContainer', 'StopContainer', 'RemoveContainer']);
});

test('what plugins adjust is in the spec of the container, and the second sees what the first changed', async () => {
  const seen: string[] = [];
  const second: Answers = {
    CreateContainer: ({ container }) => {
      seen.push(...(container?.env ?? []).filter((line) => line.startsWith('A=')));
      return { adjust: ContainerAdjustment.fromPartial({ rlimits: [{ type: 'RLIMIT_CORE', hard: 2n, soft: 1n }] }) };
    },
  };
  const plugins = memoryPlugins(plugin(adjustBy({ env: [{ key: 'A', value: '1' }] })), plugin(second, B));
  const { app } = await started(plugins);
  const { process } = await specOf(app);
  assert.deepEqual(seen, ['A=1']);
  assert.ok(process.env.includes('A=1'));
  assert.deepEqual(process.rlimits, [{ type: 'RLIMIT_CORE', hard: 2, soft: 1 }]);
});

const REFUSALS: readonly [name: string, plugins: () => MemoryPlugins, message: RegExp][] = [
  [
    'an adjustment that the node cannot apply',
    () => memoryPlugins(plugin(adjustBy({ linux: { resources: { blockio_class: { value: 'slow' } } } }))),
    /NRI plugin 10-a: adjust\.linux\.resources\.blockio_class: crid has no configuration of block I\/O classes$/,
  ],
  [
    'two plugins that set one field',
    () => memoryPlugins(plugin(adjustBy({ args: ['/a'] })), plugin(adjustBy({ args: ['/b'] }), B)),
    /plugins "20-b" and "10-a" both tried to set Args$/,
  ],
  [
    'a plugin that rejects the adjustments',
    () => memoryPlugins(plugin({ ValidateContainerAdjustment: () => ({ reject: true, reason: 'no hooks' }) })),
    /NRI plugin 10-a rejected the container: no hooks$/,
  ],
];
for (const [name, plugins, message] of REFUSALS) {
  test(`CreateContainer with ${name} fails and leaves nothing, and plugins are told`, async () => {
    const memory = plugins();
    const crid = await node.start({ plugins: memory });
    const pod = await runPod(crid);
    const before = await node.dump();
    await assert.rejects(createApp(crid, pod, APP_IMAGE), { code: 'FAILED_PRECONDITION', message });
    assert.deepEqual(await node.dump(), before);
    assert.ok(names(memory).includes('StopContainer') && names(memory).includes('RemoveContainer'));
    assert.deepEqual([...memory.announced], []);
  });
}

test('a plugin that refuses a pod leaves nothing of it, and is told that the pod is removed', async () => {
  const refuse = (): never => {
    throw new Error('no such pods');
  };
  const plugins = memoryPlugins(plugin({ RunPodSandbox: refuse }));
  const crid = await node.start({ plugins });
  const before = await node.dump();
  await assert.rejects(runPod(crid), { message: /ask NRI plugins: RunPodSandbox: no such pods$/ });
  await crid.idle();
  assert.deepEqual(await node.dump(), before);
  assert.deepEqual(names(plugins), ['RunPodSandbox', 'StopPodSandbox', 'RemovePodSandbox']);
  assert.deepEqual([...plugins.announced], []);
});

test('a plugin that is late in the undo of a pod gets the same message of the removal as of the stop', async () => {
  const refuse = (): never => {
    throw new Error('no such pods');
  };
  const plugins = memoryPlugins(plugin({ RunPodSandbox: refuse }));
  const crid = await node.start({
    plugins: {
      ...plugins,
      async ask(call, about) {
        if (call === 'StopPodSandbox') await sleep(1_000);
        await plugins.ask(call, about);
      },
    },
  });
  const before = await node.dump();
  await assert.rejects(runPod(crid));
  await crid.idle();
  assert.deepEqual(await node.dump(), before);
  assert.deepEqual(names(plugins), ['RunPodSandbox']);
  await until('the removal is told', () => names(plugins).includes('RemovePodSandbox'));
  const [, stop, remove] = plugins.requests;
  assert.deepEqual(remove, stop);
  assert.notEqual(stop?.pod?.linux?.cgroups_path ?? '', '');
});

test('a pod that no plugin is asked about is announced, for a plugin that registers while it starts', async () => {
  const announced: string[] = [];
  const plugins = memoryPlugins({ ...plugin(), wants: [] });
  const crid = await node.start({ plugins: { ...plugins, creating: ({ id }) => void announced.push(id) } });
  assert.deepEqual(announced, [await runPod(crid)]);
});

test('a failure of a plugin that is only told does not fail the call', async () => {
  const refuse = (): never => {
    throw new Error('not now');
  };
  const told = ['PostCreateContainer', 'PostStartContainer', 'StopContainer', 'RemoveContainer'] as const;
  const plugins = memoryPlugins(plugin(Object.fromEntries(told.map((call) => [call, refuse]))));
  const { crid, app } = await started(plugins);
  await crid.stopContainer({ container_id: app, timeout: 0n }, CALLER);
  await crid.removeContainer({ container_id: app }, CALLER);
  assert.equal(crid.state.containers.byId(app), undefined);
});

test('a plugin that only wants some calls causes no steps for the others', async () => {
  const wants: PluginCall[] = ['RemovePodSandbox'];
  const { crid, app } = await started(memoryPlugins({ ...plugin(), wants }));
  await crid.removeContainer({ container_id: app }, CALLER);
  const kinds = ['create container', 'start container', 'remove container'];
  assert.deepEqual(
    kinds.flatMap((kind) => stepsOf(crid, kind)).filter((step) => step.includes('NRI')),
    [],
  );
});

test('an answer to a create updates and evicts other containers', async () => {
  let other = '';
  const evict: ContainerEviction[] = [];
  const plugins = memoryPlugins(
    plugin({
      CreateContainer: () =>
        other === ''
          ? {}
          : {
              update: [
                ContainerUpdate.fromPartial({
                  container_id: other,
                  linux: { resources: { cpu: { cpus: '3' }, pids: { limit: 50n } } },
                }),
              ],
              evict,
            },
    }),
  );
  const { crid, pod, app } = await created(plugins);
  other = app;
  const { config, ...rest } = containerRequest(pod, APP_IMAGE);
  const second = { ...rest, config: { ...config!, metadata: { name: 'second', attempt: 0 } } };
  await crid.createContainer(second, CALLER);
  const { resources } = (await specOf(app)).linux;
  assert.deepEqual([resources.cpu?.cpus, Number(resources.pids?.limit)], ['3', 50]);
  await crid.startContainer({ container_id: app }, CALLER);
  evict.push({ container_id: app, reason: 'room' });
  await crid.createContainer(
    { ...second, config: { ...second.config, metadata: { name: 'third', attempt: 0 } } },
    CALLER,
  );
  assert.equal(crid.state.containers.byId(app)?.state.phase, 'exited');
});

test('a plugin replaces the resources of an update', async () => {
  const plugins = memoryPlugins(
    plugin({
      UpdateContainer: ({ container, linux_resources }) => {
        assert.equal(linux_resources?.cpu?.shares?.value, 100n);
        return {
          update: [
            ContainerUpdate.fromPartial({
              container_id: container!.id,
              linux: { resources: { cpu: { shares: { value: 7n } } } },
            }),
          ],
        };
      },
    }),
  );
  const { crid, app } = await created(plugins);
  const linux = LinuxContainerResources.fromPartial({ cpu_shares: 100n, cpu_quota: 5000n });
  await crid.updateContainerResources({ container_id: app, linux, windows: undefined, annotations: {} }, CALLER);
  const { cpu } = (await specOf(app)).linux.resources;
  assert.deepEqual([Number(cpu?.shares), Number(cpu?.quota)], [7, 5000]);
});

test('pods and containers that a restart finds are told their end once', async () => {
  const { pod, app } = await started(memoryPlugins(plugin()));
  const plugins = memoryPlugins(plugin());
  const crid = await node.start({ plugins });
  await crid.stopContainer({ container_id: app, timeout: 0n }, CALLER);
  await crid.removePodSandbox({ pod_sandbox_id: pod }, CALLER);
  assert.deepEqual(names(plugins), ['StopContainer', 'StopPodSandbox', 'RemoveContainer', 'RemovePodSandbox']);
});
