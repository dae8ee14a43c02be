import { CriError } from '../base/errors.js';
import type { ContainerDeps } from './container-deps.js';

/** Annotations that choose the RDT class of a container (goresctrl, pkg/rdt/kubernetes.go). */
const CONTAINER_ANNOTATION = 'io.kubernetes.cri.rdt-class';
const POD_ANNOTATION = 'rdt.resources.beta.kubernetes.io/pod';
const POD_ANNOTATION_OF_CONTAINER = 'rdt.resources.beta.kubernetes.io/container.';

/**
 * Refuses a container whose annotations choose an RDT class, with FAILED_PRECONDITION, as containerd's CRI plugin does
 * on a node without RDT; `ignore_rdt_not_enabled_errors` allows it. crid does not read containerd's `rdt_config_file`.
 */
export function refuseRdtClass(
  { config }: Pick<ContainerDeps, 'config'>,
  containerName: string,
  annotations: Readonly<Record<string, string>>,
  podAnnotations: Readonly<Record<string, string>>,
): void {
  const ofPod = podAnnotations[`${POD_ANNOTATION_OF_CONTAINER}${containerName}`] ?? podAnnotations[POD_ANNOTATION];
  const name = annotations[CONTAINER_ANNOTATION] ?? ofPod;
  if (name === undefined || config.runtime.containerd.ignore_rdt_not_enabled_errors) return;
  throw new CriError(
    'FAILED_PRECONDITION',
    `config.annotations: RDT class "${name}" is refused, because crid has no RDT classes`,
  );
}
