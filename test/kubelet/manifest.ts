import { limitSeconds } from '../harness/slowness.js';

/** The parts of Kubernetes' core/v1 Pod that tests write; what they do not name is passed on as it is. */
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
  /** A script of busybox's shell in place of `command`. */
  readonly script?: string;
  /** Their seconds, like those of a pod's grace, are of a machine that is not slow. */
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

/** Stays until it is told to end, and then ends at once. */
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

/** A slow machine answers later, and would do nothing but answer if it were asked as often. */
function probe({ timeoutSeconds = DEFAULT_TIMEOUT_SECONDS, periodSeconds, ...more }: Probe): Probe {
  const period = periodSeconds === undefined ? {} : { periodSeconds: limitSeconds(periodSeconds) };
  return { ...more, ...period, timeoutSeconds: limitSeconds(timeoutSeconds) };
}
