import type { ContainerConfig, PodSandboxConfig } from '../../generated/runtime/v1/api.js';
import { CriError } from '../base/errors.js';
import type { Any, Containerd, SnapshotMount } from '../containerd/containerd.js';
import type { Steps } from '../operation/steps.js';
import { execProcess } from '../spec/exec-process.js';
import type { OciProcess } from '../spec/oci.js';
import { parseSpec, processAny } from '../spec/spec-json.js';
import type { ContainerSpecInput } from '../spec/types.js';
import type { Container } from '../state/records.js';

/**
 * The process of each container's spec. It never changes, so a probe every second need not read and parse the whole
 * spec. The key is the container's config, which is one object for as long as crid remembers the container.
 */
export type ContainerProcesses = Pick<WeakMap<ContainerConfig, OciProcess>, 'get' | 'set'>;

/**
 * The mounts of snapshots as their preparation returned them, so that the start need not ask for them. The key is the
 * container's config, as above.
 */
export type PreparedRootfs = Pick<WeakMap<ContainerConfig, readonly SnapshotMount[]>, 'get' | 'set' | 'delete'>;

/** The files of each pod that its containers mount. The key is the pod's config, which is one object, too. */
export type PodMounts = Pick<WeakMap<PodSandboxConfig, Partial<ContainerSpecInput['podMounts']>>, 'get' | 'set'>;

/** Returns the OCI process that Tasks.Exec takes for a command in the container. */
export async function processOfExec(
  deps: { readonly containerd: Pick<Containerd, 'containers'>; readonly processes: ContainerProcesses },
  steps: Steps,
  { id, config }: Container,
  command: readonly string[],
  tty: boolean,
): Promise<Any> {
  let process = deps.processes.get(config);
  if (!process) {
    const { spec } = await steps.step('read spec', (signal) => deps.containerd.containers.get(id, { signal }));
    if (!spec) throw new CriError('INTERNAL', `container "${id}" has no spec`);
    process = parseSpec(spec).process;
    deps.processes.set(config, process);
  }
  return processAny(execProcess(process, command, tty));
}
