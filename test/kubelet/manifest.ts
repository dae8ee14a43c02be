/** The parts of Kubernetes' core/v1 Pod that tests write; what they do not name is passed on as it is. */
export interface PodSpec {
  readonly metadata?: { readonly labels?: Record<string, string>; readonly annotations?: Record<string, string> };
  readonly containers: readonly Container[];
  readonly initContainers?: readonly Container[];
  readonly volumes?: readonly object[];
  readonly [field: string]: unknown;
}

export interface Container {
  readonly name: string;
  /** A script of busybox's shell in place of `command`. */
  readonly script?: string;
  readonly [field: string]: unknown;
}

export const IMAGE = 'docker.io/library/busybox:1.37.0';
const GRACE_SECONDS = 5;

/** Stays until it is told to end, and then ends at once. */
export const STAY = 'trap "exit 0" TERM; while :; do sleep 1000 & wait; done';

export function podManifest(name: string, { metadata, containers, initContainers, ...spec }: PodSpec): object {
  return {
    apiVersion: 'v1',
    kind: 'Pod',
    metadata: { name, namespace: 'default', ...metadata },
    spec: {
      terminationGracePeriodSeconds: GRACE_SECONDS,
      containers: containers.map(container),
      ...(initContainers && { initContainers: initContainers.map(container) }),
      ...spec,
    },
  };
}

const container = ({ script, ...more }: Container): object => ({
  image: IMAGE,
  imagePullPolicy: 'IfNotPresent',
  ...(more['image'] === undefined && { command: ['sh', '-c', script ?? STAY] }),
  ...more,
});
