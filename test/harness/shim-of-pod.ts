import { shimsOf, type Shim } from '../../tools/stack/leftovers.js';
import type { CriClient } from './cri-client.js';
import type { TestStack } from './test-stack.js';

/** Returns the shim of a pod's containers, which has the id of the pod or of the container that was started first. */
export async function shimOfPod({ runtime }: CriClient, { containerd }: TestStack, podId: string): Promise<Shim> {
  const filter = { id: '', state: undefined, pod_sandbox_id: podId, label_selector: {} };
  const { containers } = await runtime.listContainers({ filter });
  const ids = [podId, ...containers.map(({ id }) => id)];
  const shim = (await shimsOf(containerd.socket)).find(({ id }) => ids.includes(id));
  if (!shim) throw new Error(`no shim of pod ${podId}`);
  return shim;
}
