import type {
  UpdatePodSandboxResourcesRequest,
  UpdatePodSandboxResourcesResponse,
} from '../../generated/runtime/v1/api.js';
import type { SandboxRecord } from '../containerd/containerd.js';
import { checkRecordSize } from '../containerd/record-size.js';
import type { Caller } from '../operation/operation.js';
import type { Steps } from '../operation/steps.js';
import { checkResources } from '../spec/validate/validate-resources.js';
import {
  encodeUpdatedResources,
  UPDATED_RESOURCES_EXTENSION,
  type UpdatedResources,
} from '../state/stored-resources.js';
import type { PodDeps } from './pod-deps.js';
import { sandboxRecord } from './pod-records.js';

const LIMIT_MS = 60_000;

/**
 * Records the resources that the kubelet gives to a whole pod (CRI UpdatePodSandboxResources), for plugins and for
 * runtimes that size a virtual machine by them. The pod's cgroup itself is the kubelet's. NOT_FOUND: no such pod;
 * INVALID_ARGUMENT names the field.
 */
export const updatePodSandboxResources =
  (deps: Pick<PodDeps, 'containerd' | 'handlers' | 'nri' | 'operations' | 'state'>) =>
  async (request: UpdatePodSandboxResourcesRequest, caller: Caller): Promise<UpdatePodSandboxResourcesResponse> => {
    const { id } = deps.state.pods.get(request.pod_sandbox_id, 'pod_sandbox_id');
    const { overhead, resources } = request;
    checkResources(overhead, 'overhead');
    checkResources(resources, 'resources');
    await deps.operations.run({
      kind: 'update pod sandbox resources',
      subject: id,
      key: `pod:${id}`,
      caller,
      limitMs: LIMIT_MS,
      work: (steps) => update(deps, steps, id, { overhead, resources }),
    });
    return {};
  };

async function update(
  deps: Pick<PodDeps, 'containerd' | 'handlers' | 'nri' | 'state'>,
  steps: Steps,
  id: string,
  updated: UpdatedResources,
): Promise<void> {
  const pod = deps.state.pods.get(id, 'pod_sandbox_id');
  const field = `extensions.${UPDATED_RESOURCES_EXTENSION}`;
  const known = sandboxRecord(pod, {});
  const record: SandboxRecord = {
    ...known,
    extensions: { ...known.extensions, [UPDATED_RESOURCES_EXTENSION]: encodeUpdatedResources(updated) },
  };
  checkRecordSize('pod sandbox', record);
  await deps.nri?.update(steps, pod, updated);
  await steps.step('record resources', (signal) => deps.containerd.sandboxes.update(record, [field], { signal }));
  const { sandboxer } = deps.handlers.of(pod);
  await steps.step('tell sandboxer', (signal) => sandboxer.update(record, [field], signal));
  const current = deps.state.pods.find(id, 'pod_sandbox_id');
  if (current) deps.state.pods.put({ ...current, updatedResources: updated });
  await deps.nri?.updated(steps, pod);
}
