import assert from 'node:assert/strict';
import { test, type TestContext } from 'node:test';
import { setTimeout } from 'node:timers/promises';
import { PodSandboxConfig } from '../../../generated/runtime/v1/api.js';
import { createLogger } from '../../../src/base/log.js';
import { RUNC_RUNTIME, runtimeOptions } from '../../../src/containerd/runtime-options.js';
import type { Container, Pod } from '../../../src/state/records.js';
import type { State } from '../../../src/state/state.js';
import { createTable } from '../../../src/state/table.js';
import { startSampler } from '../../../src/stats/sampler.js';
import { podCgroup } from '../../../src/stats/usage.js';
import { container, pod } from './records.js';

const WINDOW_MS = 5;

/** Returns the ids that were observed in some sampling windows, and the number of warnings. */
async function sampled(
  t: TestContext,
  of: { readonly pods: Pod[]; readonly containers: Container[] },
  cpuUsage: (path: string) => bigint | undefined,
  list?: () => never,
): Promise<{ ids: string[]; warnings: number }> {
  const tables = { pods: createTable<Pod>('pod sandbox'), containers: createTable<Container>('container') };
  for (const one of of.pods) tables.pods.put(one);
  for (const one of of.containers) tables.containers.put(one);
  const ids = new Set<string>();
  const logger = createLogger('error');
  const warn = t.mock.method(logger, 'warn', () => undefined);
  const state = { ...tables, ...(list && { pods: { ...tables.pods, list } }) } as unknown as State;
  const stop = startSampler(
    {
      state,
      log: logger,
      cgroups: { cpuUsage, usage: () => undefined, pids: () => undefined },
      rates: { observe: (id) => void ids.add(id), forget: () => undefined, nanoCores: () => undefined },
      layers: { forget: () => undefined } as never,
    },
    WINDOW_MS,
  );
  await setTimeout(20 * WINDOW_MS);
  stop();
  return { ids: [...ids].sort(), warnings: warn.mock.callCount() };
}

test('a cgroup that cannot be read affects only the rate of its own container or pod', async (t) => {
  const { ids, warnings } = await sampled(
    t,
    {
      pods: [pod('p1'), pod('broken'), pod('odd', { cgroupsPath: 5 as unknown as string })],
      containers: [
        container('c1', 'p1'),
        container('c2', 'p1', { cgroupsPath: 'x:y' }),
        container('c3', 'p1', { cgroupsPath: 7 as unknown as string }),
      ],
    },
    (path) => {
      if (path.includes('broken')) throw new Error('EIO: i/o error, read');
      return path === '/x:y' ? undefined : 5n;
    },
  );
  assert.deepEqual([ids, warnings], [['c1', 'p1'], 0]);
});

test('a sample that fails as a whole is logged, and sampling continues', async (t) => {
  const { warnings } = await sampled(
    t,
    { pods: [], containers: [] },
    () => 5n,
    () => {
      throw new Error('no list');
    },
  );
  assert.ok(warnings > 1, `${warnings} times`);
});

test("a pod's cgroup is the one in the spec of its sandbox, whatever its parent or the configuration", () => {
  const of = (cgroup_parent: string, cgroupsPath: string, options: Readonly<Record<string, unknown>> = {}) =>
    podCgroup(
      pod('p', {
        config: PodSandboxConfig.fromPartial({ linux: { cgroup_parent } }),
        cgroupsPath,
        runtime: { name: RUNC_RUNTIME, options: runtimeOptions(RUNC_RUNTIME, options) },
      }),
    );
  const slice = '/kubepods.slice/kubepods-pod1.slice';
  const scope = 'kubepods-pod1.slice:cri-containerd:p';
  assert.deepEqual(
    [
      of('/kubepods/pod1', '/kubepods/pod1/p'),
      of('/kubepods/pod1', '/kubepods/pod1/p', { SystemdCgroup: true }),
      of(slice, scope, { SystemdCgroup: true }),
      // runc created its cgroup elsewhere: the slice with the pod's name is empty.
      of(slice, scope),
      of(slice, scope, { SystemdCgroup: false }),
      of('/a:b/../c', '/a:b/../c/p'),
      of('', '/k8s.io/p'),
      of('/', '/p'),
      of('/kubepods/pod1', ''),
    ],
    ['/kubepods/pod1', '/kubepods/pod1', slice, ...Array<undefined>(6).fill(undefined)],
  );
});
