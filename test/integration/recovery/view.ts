import { ContainerState } from '../../../generated/runtime/v1/api.js';
import { until } from '../../../tools/stack/wait.js';
import type { CriClient } from '../../harness/cri-client.js';

const LIMIT_MS = 20_000;

/** Returns what a kubelet compares of pods and containers, by id, with the pids of their processes. */
export async function viewOf({ runtime }: CriClient): Promise<Record<string, object>> {
  const view: Record<string, object> = {};
  for (const { id } of (await runtime.listPodSandbox({})).items) {
    const { status, info } = await runtime.podSandboxStatus({ pod_sandbox_id: id, verbose: true });
    view[id] = {
      name: status?.metadata?.name,
      uid: status?.metadata?.uid,
      state: status?.state,
      createdAt: status?.created_at,
      ip: status?.network?.ip,
      labels: status?.labels,
      annotations: status?.annotations,
      pid: pidIn(info),
    };
  }
  for (const { id, pod_sandbox_id: podId } of (await runtime.listContainers({})).containers) {
    const { status, info } = await runtime.containerStatus({ container_id: id, verbose: true });
    view[id] = {
      podId,
      name: status?.metadata?.name,
      state: status?.state,
      createdAt: status?.created_at,
      startedAt: status?.started_at,
      finishedAt: status?.finished_at,
      exitCode: status?.exit_code,
      reason: status?.reason,
      message: status?.message,
      imageRef: status?.image_ref,
      logPath: status?.log_path,
      labels: status?.labels,
      annotations: status?.annotations,
      pid: pidIn(info),
    };
  }
  return view;
}

/** Returns the pid of a container's process, or of a pod's pause process. */
export async function pidOf({ runtime }: CriClient, id: string): Promise<number> {
  const { containers } = await runtime.listContainers({ filter: { id } });
  const { info } =
    containers.length > 0
      ? await runtime.containerStatus({ container_id: id, verbose: true })
      : await runtime.podSandboxStatus({ pod_sandbox_id: id, verbose: true });
  const pid = pidIn(info);
  if (!pid) throw new Error(`${id} has no process`);
  return pid;
}

/** Waits until a container has exited. Returns its status. */
export const exited = ({ runtime }: CriClient, containerId: string) =>
  until(`container ${containerId} has exited`, LIMIT_MS, async () => {
    const { status } = await runtime.containerStatus({ container_id: containerId });
    return status?.state === ContainerState.CONTAINER_EXITED ? status : undefined;
  });

const pidIn = (info: Record<string, string>): number | undefined =>
  (JSON.parse(info['info'] ?? '{}') as { pid?: number }).pid;
