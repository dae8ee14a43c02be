import {
  ContainerConfig,
  NamespaceMode,
  PodSandboxConfig,
  SupplementalGroupsPolicy,
  type CreateContainerRequest,
  type RunPodSandboxRequest,
} from '../../../generated/runtime/v1/api.js';
import { PINNED } from '../../../src/state/pod-view.js';
import { CONTROLLED, type MemoryCrid } from './memory-crid.js';

/** A caller without a deadline. */
export const CALLER = {};

/** A pod with a network of its own. It uses the host's /dev/shm, because only root can mount one. */
export const podRequest = (name = 'web', handler = ''): RunPodSandboxRequest => ({
  config: PodSandboxConfig.fromPartial({
    metadata: { name, namespace: 'shop', uid: `uid-of-${name}`, attempt: 0 },
    hostname: name,
    linux: { security_context: { namespace_options: { ipc: NamespaceMode.NODE } } },
  }),
  runtime_handler: handler,
});

/** The user is given in numbers and with its groups, because only root can mount the rootfs to look them up. */
export const containerRequest = (podId: string, image: string, script = 'sleep 1000'): CreateContainerRequest => ({
  pod_sandbox_id: podId,
  config: ContainerConfig.fromPartial({
    metadata: { name: 'app', attempt: 0 },
    image: { image },
    command: ['sh', '-c', script],
    linux: {
      security_context: {
        run_as_user: { value: 1000n },
        run_as_group: { value: 1000n },
        supplemental_groups_policy: SupplementalGroupsPolicy.Strict,
      },
    },
  }),
  sandbox_config: podRequest().config,
});

export const runPod = async (crid: MemoryCrid): Promise<string> =>
  (await crid.runPodSandbox(podRequest(), CALLER)).pod_sandbox_id;

export const createApp = async (crid: MemoryCrid, podId: string, image: string, script?: string): Promise<string> =>
  (await crid.createContainer(containerRequest(podId, image, script), CALLER)).container_id;

/** Runs a pod without a sandbox process. */
export const runPinnedPod = async (crid: MemoryCrid): Promise<string> =>
  (await crid.runPodSandbox(podRequest('web', PINNED), CALLER)).pod_sandbox_id;

/** Runs a pod of a sandbox controller. */
export const runControlledPod = async (crid: MemoryCrid): Promise<string> =>
  (await crid.runPodSandbox(podRequest('web', CONTROLLED), CALLER)).pod_sandbox_id;
