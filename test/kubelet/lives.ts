import type { CriClient } from '../harness/cri-client.js';
import { pidOf } from '../integration/recovery/view.js';
import { allContainers, type PodHandle } from './pod-handle.js';

/**
 * The state of ready containers that a restart of other processes must not change: ids, processes, times of their
 * starts, addresses and restart counts.
 */
export async function lives(cri: CriClient, pods: readonly PodHandle[]): Promise<Record<string, object>> {
  const found: Record<string, object> = {};
  for (const pod of pods) {
    const status = await pod.ready();
    for (const { name, containerID = '', restartCount, state } of allContainers(status)) {
      const id = containerID.replace(/^.*\/\//, '');
      const startedAt = state?.running?.startedAt;
      found[`${pod.name}/${name}`] = { id, restartCount, startedAt, pid: await pidOf(cri, id), ip: status.podIP };
    }
  }
  return found;
}
