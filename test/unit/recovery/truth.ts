import assert from 'node:assert/strict';
import type { Container, Pod } from '../../../src/state/records.js';
import type { MemoryCrid } from '../../harness/memory-node/memory-crid.js';
import type { MemoryNode } from '../../harness/memory-node/memory-node.js';

/**
 * Asserts that crid lists the pods and containers of containerd's records, and as ready or running those that have a
 * running task.
 */
export async function assertTruth(crid: MemoryCrid, { containerd }: MemoryNode): Promise<void> {
  await crid.idle();
  const { sandboxes = {}, containers = {}, tasks = {} } = containerd.dump();
  const kindOf = (id: string): string | undefined =>
    (containers[id] as { labels: Record<string, string> }).labels['io.cri-containerd.kind'];
  const ofKind = (kind: string): string[] => Object.keys(containers).filter((id) => kindOf(id) === kind);
  assert.deepEqual(
    {
      pods: idsOf(crid.state.pods.list()),
      containers: idsOf(crid.state.containers.list()),
      alive: idsOf([
        ...crid.state.pods.list().filter(({ state }) => state.phase === 'ready'),
        ...crid.state.containers.list().filter(({ state }) => state.phase === 'running'),
      ]),
    },
    {
      pods: [...new Set([...Object.keys(sandboxes), ...ofKind('sandbox')])].sort(),
      containers: ofKind('container').sort(),
      alive: Object.keys(tasks).filter((id) => (tasks[id] as { status: string }).status === 'running'),
    },
  );
}

const idsOf = (records: readonly (Pod | Container)[]): string[] => records.map(({ id }) => id).sort();
