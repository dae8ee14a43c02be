import type { PodSandboxConfig } from '../../generated/runtime/v1/api.js';
import { globExpression } from '../base/glob-expression.js';

const PREFIX = 'io.kubernetes.cri.';

/** The annotation of every spec of a pod: containerd's runc shim groups the tasks of one pod by it. */
const SANDBOX_ID_ANNOTATION = `${PREFIX}sandbox-id`;

/** Returns a container's annotations. Passed-through ones come first, so that they cannot override crid's own. */
export function containerAnnotations(input: {
  readonly podId: string;
  readonly pod: PodSandboxConfig;
  readonly containerName: string;
  readonly imageName: string;
  readonly passed: Readonly<Record<string, string>>;
}): Record<string, string> {
  return {
    ...foreign(input.passed),
    ...podAnnotations(input.podId, input.pod),
    [`${PREFIX}container-name`]: input.containerName,
    [`${PREFIX}image-name`]: input.imageName,
    [`${PREFIX}container-type`]: 'container',
  };
}

/** Returns the pause container's annotations, with the pod's resources: VM runtimes size their machine by them. */
export function sandboxAnnotations(input: {
  readonly podId: string;
  readonly pod: PodSandboxConfig;
  readonly imageName: string;
  readonly passed: Readonly<Record<string, string>>;
}): Record<string, string> {
  const resources = input.pod.linux?.resources;
  return {
    ...foreign(input.passed),
    ...(resources && {
      [`${PREFIX}sandbox-cpu-period`]: resources.cpu_period.toString(),
      [`${PREFIX}sandbox-cpu-quota`]: resources.cpu_quota.toString(),
      [`${PREFIX}sandbox-cpu-shares`]: resources.cpu_shares.toString(),
      [`${PREFIX}sandbox-memory`]: resources.memory_limit_in_bytes.toString(),
    }),
    ...podAnnotations(input.podId, input.pod),
    [`${PREFIX}sandbox-log-directory`]: input.pod.log_directory,
    [`${PREFIX}podsandbox.image-name`]: input.imageName,
    [`${PREFIX}container-type`]: 'sandbox',
  };
}

/**
 * Returns the annotations whose names match one of a handler's patterns. runc turns `org.systemd.property.` annotations
 * into properties of the systemd unit. They need a pattern that spells that prefix out; a wildcard does not match them
 * (CVE-2024-3154).
 */
export function passedAnnotations(
  annotations: Readonly<Record<string, string>>,
  patterns: readonly string[],
): Record<string, string> {
  const matchers = patterns.map((pattern) => ({ pattern, expression: globExpression(pattern) }));
  const passes = (name: string): boolean =>
    matchers.some(
      ({ pattern, expression }) =>
        expression?.test(name) === true && (!name.startsWith(SYSTEMD) || pattern.startsWith(SYSTEMD)),
    );
  return Object.fromEntries(Object.entries(annotations).filter(([name]) => passes(name)));
}

/**
 * Removes `io.kubernetes.cri.sandbox-*`: only crid sets them, and the absence of one has a meaning, too. Removes the
 * annotation by which runc's shim would rather group tasks: a pod could use the shim of another one.
 */
const foreign = (passed: Readonly<Record<string, string>>): Record<string, string> =>
  Object.fromEntries(
    Object.entries(passed).filter(([name]) => !name.startsWith(`${PREFIX}sandbox-`) && name !== SHIM_GROUP),
  );

const SHIM_GROUP = 'io.containerd.runc.v2.group';

const SYSTEMD = 'org.systemd.property.';

function podAnnotations(podId: string, pod: PodSandboxConfig): Record<string, string> {
  return {
    [SANDBOX_ID_ANNOTATION]: podId,
    [`${PREFIX}sandbox-namespace`]: pod.metadata?.namespace ?? '',
    [`${PREFIX}sandbox-uid`]: pod.metadata?.uid ?? '',
    [`${PREFIX}sandbox-name`]: pod.metadata?.name ?? '',
  };
}
