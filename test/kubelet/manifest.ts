import { limitSeconds } from '../harness/slowness.js';

/** The fields of Kubernetes' core/v1 Pod that the tests write. Other fields are passed on unchanged. */
export interface PodSpec {
  readonly metadata?: { readonly labels?: Record<string, string>; readonly annotations?: Record<string, string> };
  readonly containers: readonly Container[];
  readonly initContainers?: readonly Container[];
  readonly volumes?: readonly object[];
  readonly terminationGracePeriodSeconds?: number;
  readonly [field: string]: unknown;
}

export interface Container {
  readonly name: string;
  /** A shell script for busybox, instead of `command`. */
  readonly script?: string;
  /** Times in probes, like a pod's grace period, are for a fast machine. `podManifest` scales them. */
  readonly startupProbe?: Probe;
  readonly livenessProbe?: Probe;
  readonly readinessProbe?: Probe;
  readonly [field: string]: unknown;
}

interface Probe {
  readonly timeoutSeconds?: number;
  readonly periodSeconds?: number;
  readonly [field: string]: unknown;
}

export const IMAGE = 'docker.io/library/busybox:1.37.0';
const GRACE_SECONDS = 5;

/** Runs until SIGTERM, and then ends at once. */
export const STAY = 'trap "exit 0" TERM; while :; do sleep 1000 & wait; done';

export function podManifest(name: string, { metadata, containers, initContainers, ...spec }: PodSpec): object {
  const { terminationGracePeriodSeconds = GRACE_SECONDS, ...more } = spec;
  return {
    apiVersion: 'v1',
    kind: 'Pod',
    metadata: { name, namespace: 'default', ...metadata },
    spec: {
      terminationGracePeriodSeconds: limitSeconds(terminationGracePeriodSeconds),
      containers: containers.map(container),
      ...(initContainers && { initContainers: initContainers.map(container) }),
      ...more,
    },
  };
}

const container = ({ script, ...more }: Container): object => ({
  image: IMAGE,
  imagePullPolicy: 'IfNotPresent',
  ...(more['image'] === undefined && { command: ['sh', '-c', script ?? STAY] }),
  ...more,
  ...Object.fromEntries(PROBES.flatMap((name) => (more[name] ? [[name, probe(more[name])]] : []))),
});

const PROBES = ['startupProbe', 'livenessProbe', 'readinessProbe'] as const;
const DEFAULT_TIMEOUT_SECONDS = 1;

/** A slow machine replies later, and would do nothing but run probes if they came as often. */
function probe({ timeoutSeconds = DEFAULT_TIMEOUT_SECONDS, periodSeconds, ...more }: Probe): Probe {
  const period = periodSeconds === undefined ? {} : { periodSeconds: limitSeconds(periodSeconds) };
  return { ...more, ...period, timeoutSeconds: limitSeconds(timeoutSeconds) };
}
