import { LinuxContainerResources } from '../../generated/runtime/v1/api.js';
import { CriError } from '../base/errors.js';
import type { Any } from '../containerd/containerd.js';
import { parseGoJson, toGoJson } from './go-json.js';
import { textOf, toAny } from './stored-json.js';

/** Extension of the sandbox record: the resources of the last UpdatePodSandboxResources. Its JSON has no version. */
export const UPDATED_RESOURCES_EXTENSION = 'updated-resources';
const UPDATED_RESOURCES_TYPE_URL = 'io.containerd.cri.v1/UpdatedResources';

export interface UpdatedResources {
  readonly overhead: LinuxContainerResources | undefined;
  readonly resources: LinuxContainerResources | undefined;
}

export const encodeUpdatedResources = ({ overhead, resources }: UpdatedResources): Any =>
  toAny(UPDATED_RESOURCES_TYPE_URL, {
    Overhead: overhead ? toGoJson(overhead) : null,
    Resources: resources ? toGoJson(resources) : null,
  });

/** Throws INTERNAL, naming the pod's `id`. */
export function decodeUpdatedResources(any: Any, id: string): UpdatedResources {
  const text = textOf(any, UPDATED_RESOURCES_TYPE_URL, id);
  try {
    const stored = parseGoJson(text) as { Overhead?: object | null; Resources?: object | null };
    return {
      overhead: stored.Overhead ? LinuxContainerResources.fromJSON(stored.Overhead) : undefined,
      resources: stored.Resources ? LinuxContainerResources.fromJSON(stored.Resources) : undefined,
    };
  } catch (cause) {
    throw new CriError('INTERNAL', `updated resources of "${id}": ${String(cause)}`, { cause });
  }
}
