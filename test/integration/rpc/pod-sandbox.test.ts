import assert from 'node:assert/strict';
import { existsSync } from 'node:fs';
import { test } from 'node:test';
import {
  ContainerState,
  NamespaceMode,
  PodSandboxState,
  type PodSandboxFilter,
} from '../../../generated/runtime/v1/api.js';
import { runPod, type RunningPod } from '../../harness/pod.js';
import { IS_PINNED } from '../../harness/sandboxer.js';
import { assertFails, startSuite, type BadRequest } from './suite.js';

const suite = startSuite();
const UNKNOWN = 'f'.repeat(64);

test('errors of bad requests name the field or the object', async (t) => {
  const { runtime } = suite.crid;
  const requests: BadRequest[] = [
    ['status of none', () => runtime.podSandboxStatus({}), 'INVALID_ARGUMENT', 'pod_sandbox_id'],
    ['status of an unknown', () => runtime.podSandboxStatus({ pod_sandbox_id: UNKNOWN }), 'NOT_FOUND', UNKNOWN],
    ['stop of none', () => runtime.stopPodSandbox({}), 'INVALID_ARGUMENT', 'pod_sandbox_id'],
    ['removal of none', () => runtime.removePodSandbox({}), 'INVALID_ARGUMENT', 'pod_sandbox_id'],
  ];
  for (const [name, call, ...expected] of requests) await t.test(name, () => assertFails(call(), ...expected));
});

test('a missing pod counts as stopped and removed', async () => {
  assert.deepEqual(
    [
      await suite.crid.runtime.stopPodSandbox({ pod_sandbox_id: UNKNOWN }),
      await suite.crid.runtime.removePodSandbox({ pod_sandbox_id: UNKNOWN }),
    ],
    [{}, {}],
  );
});

test('StopPodSandbox ends the containers and removes the network; a repeat succeeds', async () => {
  const { runtime } = suite.crid;
  const pod = await runPod(suite.crid, suite.stack);
  const containerId = await pod.run();
  const netns = (await verbose(pod)).runtimeSpec.linux.namespaces.find(({ type }) => type === 'network')?.path ?? '';
  assert.ok(existsSync(netns), netns);

  await runtime.stopPodSandbox({ pod_sandbox_id: pod.id });
  await runtime.stopPodSandbox({ pod_sandbox_id: pod.id.slice(0, 12) });
  const { status } = await runtime.podSandboxStatus({ pod_sandbox_id: pod.id });
  const { status: container } = await runtime.containerStatus({ container_id: containerId });
  assert.deepEqual(
    {
      state: status?.state,
      ip: status?.network?.ip,
      netns: existsSync(netns),
      container: { state: container?.state, code: container?.exit_code },
    },
    {
      state: PodSandboxState.SANDBOX_NOTREADY,
      ip: '',
      netns: false,
      container: { state: ContainerState.CONTAINER_EXITED, code: 137 },
    },
  );
  await assertFails(pod.create(), 'FAILED_PRECONDITION', pod.id, 'not ready');
  await runtime.removePodSandbox({ pod_sandbox_id: pod.id });
});

test('RemovePodSandbox removes a running pod with its containers; two at once are one', async () => {
  const { runtime } = suite.crid;
  const pod = await runPod(suite.crid, suite.stack);
  const [running, created] = [await pod.run(), await pod.create()];
  const remove = (): Promise<object> => runtime.removePodSandbox({ pod_sandbox_id: pod.id });
  assert.deepEqual(await Promise.all([remove(), remove()]), [{}, {}]);
  assert.deepEqual(await remove(), {});
  await assertFails(runtime.podSandboxStatus({ pod_sandbox_id: pod.id }), 'NOT_FOUND', pod.id);
  for (const id of [running, created])
    await assertFails(runtime.containerStatus({ container_id: id }), 'NOT_FOUND', id);
  await suite.assertNothingLeft();
});

test('PodSandboxStatus by a prefix of the id; verbose adds the spec and the network', async () => {
  const pod = await runPod(suite.crid, suite.stack);
  const { status, info } = await suite.crid.runtime.podSandboxStatus({ pod_sandbox_id: pod.id.slice(0, 8) });
  const { pid, runtimeType, cniResult, config } = await verbose(pod);
  assert.ok(IS_PINNED ? pid === 0 : existsSync(`/proc/${pid}`), `pid ${pid}`);
  assert.deepEqual(
    {
      id: status?.id,
      info,
      runtimeType,
      ip: cniResult.Interfaces['eth0']?.IPConfigs[0]?.IP,
      name: config.metadata.name,
    },
    {
      id: pod.id,
      info: {},
      runtimeType: 'io.containerd.runc.v2',
      ip: status?.network?.ip,
      name: pod.config.metadata?.name,
    },
  );
  await pod.remove();
});

test('PodSandboxStatus leaves the fields of EventedPLEG unset', async () => {
  const pod = await runPod(suite.crid, suite.stack);
  await pod.run();
  const { containers_statuses: containers, timestamp } = await suite.crid.runtime.podSandboxStatus({
    pod_sandbox_id: pod.id,
  });
  assert.deepEqual({ containers, timestamp }, { containers: [], timestamp: 0n });
  await pod.remove();
});

test('ListPodSandbox: the parts of a filter are ANDed', async () => {
  const [one, two, three] = [
    await hostPod({ app: 'a', tier: 'front' }),
    await hostPod({ app: 'a', tier: 'back' }),
    await hostPod({ app: 'b' }),
  ];
  await suite.crid.runtime.stopPodSandbox({ pod_sandbox_id: two.id });
  const list = async (filter: Parameters<typeof PodSandboxFilter.fromPartial>[0]): Promise<string[]> =>
    (await suite.crid.runtime.listPodSandbox({ filter })).items.map(({ id }) => id).sort();
  const notReady = { state: PodSandboxState.SANDBOX_NOTREADY };
  assert.deepEqual(
    {
      all: await list({}),
      label: await list({ label_selector: { app: 'a' } }),
      labels: await list({ label_selector: { app: 'a', tier: 'back' } }),
      noSuchLabel: await list({ label_selector: { tier: 'a' } }),
      state: await list({ state: notReady }),
      stateAndLabel: await list({ state: notReady, label_selector: { app: 'b' } }),
      id: await list({ id: three.id }),
      prefix: await list({ id: three.id.slice(0, 10) }),
      prefixAndLabel: await list({ id: three.id.slice(0, 10), label_selector: { app: 'a' } }),
      unknown: await list({ id: UNKNOWN }),
    },
    {
      all: [one.id, two.id, three.id].sort(),
      label: [one.id, two.id].sort(),
      labels: [two.id],
      noSuchLabel: [],
      state: [two.id],
      stateAndLabel: [],
      id: [three.id],
      prefix: [three.id],
      prefixAndLabel: [],
      unknown: [],
    },
  );
  for (const pod of [one, two, three]) await pod.remove();
});

test('a prefix that begins two ids is INVALID_ARGUMENT', async () => {
  const pods = new Map<string, RunningPod>();
  for (;;) {
    // With sixteen possible digits, seventeen pods suffice for two equal first digits, and mostly six do.
    const pod = await hostPod({});
    const digit = pod.id.slice(0, 1);
    if (pods.has(digit)) {
      const { runtime } = suite.crid;
      await assertFails(runtime.podSandboxStatus({ pod_sandbox_id: digit }), 'INVALID_ARGUMENT', `"${digit}"`, '2');
      await assertFails(runtime.stopPodSandbox({ pod_sandbox_id: digit }), 'INVALID_ARGUMENT', `"${digit}"`, '2');
      await pod.remove();
      break;
    }
    pods.set(digit, pod);
  }
  for (const pod of pods.values()) await pod.remove();
});

test('a pod of more containers than its shim can end at once is stopped', async () => {
  const pod = await runPod(suite.crid, suite.stack);
  for (let count = 0; count < 64; count++) await pod.run();
  await suite.crid.runtime.stopPodSandbox({ pod_sandbox_id: pod.id });
  await pod.remove();
});

const hostPod = (labels: Record<string, string>): Promise<RunningPod> =>
  runPod(suite.crid, suite.stack, {
    labels,
    linux: { security_context: { namespace_options: { network: NamespaceMode.NODE } } },
  });

interface Verbose {
  readonly pid: number;
  readonly runtimeType: string;
  readonly config: { readonly metadata: { readonly name: string } };
  readonly cniResult: { readonly Interfaces: Record<string, { IPConfigs: { IP: string }[] }> };
  readonly runtimeSpec: { readonly linux: { readonly namespaces: { type: string; path?: string }[] } };
}

async function verbose(pod: RunningPod): Promise<Verbose> {
  const { info } = await suite.crid.runtime.podSandboxStatus({ pod_sandbox_id: pod.id, verbose: true });
  return JSON.parse(info['info'] ?? '') as Verbose;
}
