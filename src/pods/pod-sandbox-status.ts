import type {
  PodSandboxStatus,
  PodSandboxStatusRequest,
  PodSandboxStatusResponse,
} from '../../generated/runtime/v1/api.js';
import { PodSandboxState } from '../../generated/runtime/v1/api.js';
import { parseSpec } from '../spec/spec-json.js';
import { isCode } from '../base/errors.js';
import { stringifyGoJson, toGoJson } from '../state/go-json.js';
import type { Pod } from '../state/records.js';
import { decodeRuntimeOptions } from '../containerd/runtime-options.js';
import { netnsIsOpen } from '../host/namespace/netns.js';
import { usesHostNetwork } from '../state/pod-view.js';
import { goSandboxMetadata } from '../state/stored.js';
import { metadataOf } from './pod-records.js';
import type { PodDeps } from './pod-deps.js';

/**
 * Returns a pod's status from memory (CRI PodSandboxStatus); only `verbose` asks containerd. NOT_FOUND: no such pod.
 */
export const podSandboxStatus =
  (deps: Pick<PodDeps, 'state' | 'containerd' | 'operations'>) =>
  async (request: PodSandboxStatusRequest): Promise<PodSandboxStatusResponse> => {
    const pod = deps.state.pods.get(request.pod_sandbox_id, 'pod_sandbox_id');
    const info = request.verbose ? { info: await verboseInfo(deps, pod) } : {};
    return {
      status: podStatusOf(deps.state.pods.find(pod.id, 'pod_sandbox_id') ?? pod),
      info,
      // Unset, as in containerd's CRI plugin. From a response with a `timestamp`, the kubelet 1.37 with EventedPLEG
      // takes `containers_statuses` without the list of active containers, and starts init containers again for ever.
      containers_statuses: [],
      timestamp: 0n,
    };
  };

export const podState = (pod: Pod): PodSandboxState =>
  pod.state.phase === 'ready' ? PodSandboxState.SANDBOX_READY : PodSandboxState.SANDBOX_NOTREADY;

export function podStatusOf(pod: Pod): PodSandboxStatus {
  const shown = pod.state.phase === 'ready' || !pod.state.released;
  const [ip = '', ...additional] = (shown && pod.network?.ips) || [];
  return {
    id: pod.id,
    metadata: pod.config.metadata,
    state: podState(pod),
    created_at: pod.createdAtNs,
    network: { ip, additional_ips: additional.map((address) => ({ ip: address })) },
    linux: { namespaces: { options: pod.config.linux?.security_context?.namespace_options } },
    labels: pod.config.labels,
    annotations: pod.config.annotations,
    runtime_handler: pod.runtimeHandler,
  };
}

/**
 * Returns the JSON that `crictl inspectp` shows under `info`: the keys of containerd's CRI plugin, and the running
 * operations.
 */
async function verboseInfo(deps: Pick<PodDeps, 'containerd' | 'operations'>, pod: Pod): Promise<string> {
  const record = await deps.containerd.containers.get(pod.id).catch((thrown: unknown) => {
    if (isCode(thrown, 'NOT_FOUND')) return undefined;
    throw thrown;
  });
  const ready = pod.state.phase === 'ready';
  const spec = record?.spec ?? pod.sandboxSpec;
  return stringifyGoJson({
    pid: pod.state.phase === 'ready' ? pod.state.pid : 0,
    processStatus: ready ? 'running' : 'deleted',
    netNamespaceClosed: usesHostNetwork(pod.config) ? false : !(await netnsIsOpen(pod.netnsPath)),
    image: pod.image,
    snapshotKey: pod.id,
    snapshotter: pod.snapshotter,
    runtimeHandler: pod.runtimeHandler,
    runtimeType: pod.runtime.name,
    runtimeOptions: pod.runtime.options ? decodeRuntimeOptions(pod.runtime.options) : null,
    config: toGoJson(pod.config),
    runtimeSpec: spec ? parseSpec(spec) : null,
    cniResult: pod.network?.result ?? null,
    sandboxer: pod.sandboxer ?? 'pause',
    overhead: toGoJson(pod.updatedResources?.overhead ?? pod.config.linux?.overhead ?? {}),
    resources: toGoJson(pod.updatedResources?.resources ?? pod.config.linux?.resources ?? {}),
    sandboxMetadata: goSandboxMetadata(metadataOf(pod)),
    operations: deps.operations.list().filter(({ subject }) => subject === pod.id),
  });
}
