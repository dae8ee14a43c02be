import type { TracedCall } from '../../generated/crid/v1/traces.js';
import type { RuntimeServiceClient } from '../../generated/runtime/v1/api.js';
import { findPod } from '../client/find-pod.js';

const CALL_LIMIT_MS = 10_000;

/**
 * Returns a function that selects the calls of a pod and of its containers. It takes the calls in their order, and
 * learns from them the ids of pods and containers, so that it also knows those that are removed by now.
 */
export async function podSelection(
  runtime: RuntimeServiceClient,
  wanted: string | undefined,
): Promise<(call: TracedCall) => boolean> {
  if (wanted === undefined) return () => true;
  const signal = AbortSignal.timeout(CALL_LIMIT_MS);
  const found = await findPod(runtime, wanted, signal);
  const pods = new Set(found ? [found.id] : []);
  const containers = new Set<string>();
  if (found) {
    const filter = { id: '', state: undefined, pod_sandbox_id: found.id, label_selector: {} };
    for (const { id } of (await runtime.listContainers({ filter }, { signal })).containers) containers.add(id);
  }
  const isNamed = (id: string, name: string): boolean =>
    pods.has(id) || (!found && id !== '' && id.startsWith(wanted)) || name === wanted || name.endsWith(`/${wanted}`);
  return ({ attributes }) => {
    const pod = attributes['sandbox.id'] ?? '';
    const container = attributes['container.id'] ?? '';
    if (!isNamed(pod, attributes['sandbox.name'] ?? '')) return containers.has(container);
    if (pod !== '') pods.add(pod);
    if (container !== '') containers.add(container);
    return true;
  };
}
