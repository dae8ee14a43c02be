import assert from 'node:assert/strict';
import { setTimeout as sleep } from 'node:timers/promises';
import { ContainerState, PodSandboxState } from '../../../generated/runtime/v1/api.js';
import { mountsBelow } from '../../../tools/stack/leftovers.js';
import { recordsIn } from '../../harness/containerd-records.js';
import type { CriClient } from '../../harness/cri-client.js';
import { NAMESPACE } from '../../harness/leaks.js';
import type { TestStack } from '../../harness/test-stack.js';

const SETTLED_WITHIN_MS = 5_000;

/**
 * Asserts that the server lists the pods and containers of containerd, as running if their task runs. Retries for a
 * moment, because an exit is reported before its task is deleted.
 */
export async function assertTruth(client: CriClient, stack: TestStack): Promise<void> {
  for (const deadlineMs = Date.now() + SETTLED_WITHIN_MS; ; await sleep(100)) {
    try {
      return await assertTruthNow(client, stack);
    } catch (error) {
      if (!(error instanceof assert.AssertionError) || Date.now() > deadlineMs) throw error;
    }
  }
}

async function assertTruthNow({ runtime }: CriClient, { containerd }: TestStack): Promise<void> {
  const { items: pods } = await runtime.listPodSandbox({});
  const { containers } = await runtime.listContainers({});
  const records = await recordsIn(containerd.socket, NAMESPACE);
  // A pod without a pause container is ready while its namespaces are bound.
  const bound = (await mountsBelow(containerd.state)).flatMap(
    (path) => /(\w+)\/pinned-namespaces\/uts$/.exec(path)?.[1] ?? [],
  );
  const alive = [
    ...pods.filter(({ state }) => state === PodSandboxState.SANDBOX_READY),
    ...containers.filter(({ state }) => state === ContainerState.CONTAINER_RUNNING),
  ];
  assert.deepEqual(
    {
      pods: sorted(pods.map(({ id }) => id)),
      containers: sorted(containers.map(({ id }) => id)),
      alive: sorted(alive.map(({ id }) => id)),
    },
    {
      pods: sorted(records.sandbox),
      containers: sorted(records.container.filter((id) => !records.sandbox.includes(id))),
      alive: sorted([...records.task, ...bound]),
    },
  );
}

const sorted = (ids: readonly string[]): string[] => [...ids].sort();
