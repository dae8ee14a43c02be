import type { SandboxRecord } from '../containerd/containerd.js';
import { SANDBOXER_LABEL } from '../state/labels.js';
import { hasController } from '../state/pod-view.js';
import type { Pod } from '../state/records.js';
import { encodeSandboxMetadata, type SandboxMetadata } from '../state/stored.js';

/**
 * The name that containerd's own CRI plugin gives to the sandboxer of a pod with a pause container. Of a pod without a
 * process it then says that the pod is not ready; for a name that it does not know, it would not list the pod.
 */
const PAUSE_SANDBOXER = 'podsandbox';

export function metadataOf(pod: Pod): SandboxMetadata {
  const [ip = '', ...additionalIps] = pod.network?.ips ?? [];
  return {
    id: pod.id,
    name: pod.name,
    config: pod.config,
    netnsPath: pod.netnsPath,
    ip,
    additionalIps,
    runtimeHandler: pod.runtimeHandler,
    cniResult: pod.network?.result,
    processLabel: pod.processLabel,
  };
}

/** Returns a pod's record for the Sandbox Store, in the form that containerd's CRI plugin reads. */
export const sandboxRecord = (pod: Pod, labels: Readonly<Record<string, string>>): SandboxRecord => ({
  id: pod.id,
  runtime: pod.runtime,
  spec: pod.sandboxSpec,
  labels: { name: pod.name, ...(pod.sandboxer && { [SANDBOXER_LABEL]: pod.sandboxer }), ...labels },
  extensions: { metadata: encodeSandboxMetadata(metadataOf(pod)) },
  sandboxer: hasController(pod) ? pod.sandboxer! : PAUSE_SANDBOXER,
});
