import type { ContainerConfig } from '../../generated/runtime/v1/api.js';
import { CriError } from '../base/errors.js';
import type { Any } from '../containerd/containerd.js';
import type { Steps } from '../operation/steps.js';
import { execProcess } from '../spec/exec-process.js';
import type { OciProcess } from '../spec/oci.js';
import { parseSpec, processAny } from '../spec/spec-json.js';
import type { Container } from '../state/records.js';
import type { ContainerDeps } from './container-deps.js';

/**
 * The process of each container's spec. It never changes, so a probe every second need not read and parse the whole
 * spec. The key is the container's config, which is one object for as long as crid remembers the container.
 */
const kept = new WeakMap<ContainerConfig, OciProcess>();

export function keepProcess(config: ContainerConfig, process: OciProcess): void {
  kept.set(config, process);
}

/** Returns the OCI process that Tasks.Exec takes for a command in the container. */
export async function processOfExec(
  deps: Pick<ContainerDeps, 'containerd'>,
  steps: Steps,
  { id, config }: Container,
  command: readonly string[],
  tty: boolean,
): Promise<Any> {
  if (!kept.has(config)) {
    const { spec } = await steps.step('read spec', (signal) => deps.containerd.containers.get(id, { signal }));
    if (!spec) throw new CriError('INTERNAL', `container "${id}" has no spec`);
    keepProcess(config, parseSpec(spec).process);
  }
  return processAny(execProcess(kept.get(config)!, command, tty));
}
