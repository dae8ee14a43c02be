import { readFile } from 'node:fs/promises';
import { NamespaceMode } from '../../generated/runtime/v1/api.js';
import type { CriClient } from '../harness/cri-client.js';

/** The runtime handlers of the node. */
export const HANDLERS = ['runc', 'crun'] as const;

export const GIVEN_ID = 1_000_000;
const mapping = [{ host_id: GIVEN_ID, container_id: 0, length: 65_536 }];
export const POD_USERNS = { userns_options: { mode: NamespaceMode.POD, uids: mapping, gids: mapping } };

/** Returns the pid of a container, or of a pod's sandbox. */
export async function pidOf({ runtime }: CriClient, id: string): Promise<number> {
  const { info } = await runtime
    .containerStatus({ container_id: id, verbose: true })
    .catch(() => runtime.podSandboxStatus({ pod_sandbox_id: id, verbose: true }));
  return (JSON.parse(info['info'] ?? '{}') as { pid: number }).pid;
}

/**
 * Returns the path, below the root, of the cgroup with the container's limits. crun puts the processes into a child of
 * it.
 */
export async function cgroupOf(cri: CriClient, id: string): Promise<string> {
  const path = (await readFile(`/proc/${await pidOf(cri, id)}/cgroup`, 'utf8')).trim().replace(/^0::/, '');
  return path.replace(/(\.scope)\/container$/, '$1');
}
