import {
  ContainerState,
  PodSandboxState,
  type Container,
  type ContainerStatus,
  type PodSandbox,
  type RuntimeServiceClient,
} from '../../generated/runtime/v1/api.js';
import { CriError } from '../base/errors.js';
import { wallMs } from '../base/time.js';
import { findPod, podName } from '../client/find-pod.js';
import type { RunningOperation } from '../operation/operation.js';

const CALL_LIMIT_MS = 10_000;

/**
 * Returns the output of `crid why`: conditions that are not met, and every running operation with its current steps.
 */
export async function why(runtime: RuntimeServiceClient, pod: string | undefined): Promise<string> {
  const signal = AbortSignal.timeout(CALL_LIMIT_MS);
  const { status, info } = await runtime.status({ verbose: true }, { signal });
  const operations = operationsOf(info['operations']);
  const conditions = (status?.conditions ?? [])
    .filter((condition) => !condition.status)
    .map(({ type, reason, message }) => `${type} is false: ${reason}: ${message}`);
  if (pod === undefined) return lines([...conditions, ...describeOperations(operations, wallMs())]);

  const found = await findPod(runtime, pod, signal);
  // A pod whose creation is in progress is not listed yet.
  const unborn = operations.filter(({ subject }) => subject === pod || subject.endsWith(`/${pod}`));
  if (!found && unborn.length > 0) return lines([...conditions, ...describeOperations(unborn, wallMs())]);
  if (!found) throw new CriError('NOT_FOUND', `pod "${pod}" not found`);
  const { containers } = await runtime.listContainers(
    { filter: { id: '', state: undefined, pod_sandbox_id: found.id, label_selector: {} } },
    { signal },
  );
  const ids = new Set([found.id, podName(found), ...containers.map(({ id }) => id)]);
  const own = operations.filter(({ subject }) => ids.has(subject) || mentions(subject, found));
  const statuses = await Promise.all(containers.map((container) => containerLine(runtime, container, signal)));
  return lines([...conditions, podLine(found), ...statuses, ...describeOperations(own, wallMs())]);
}

/** Returns one line for the operation and one for each of its current steps. */
export function describeOperations(operations: readonly RunningOperation[], nowMs: number): string[] {
  if (operations.length === 0) return ['no operation runs'];
  return operations.flatMap(({ kind, subject, startedAtMs, waiters, steps }) => [
    `${kind} ${subject}: for ${seconds(nowMs - startedAtMs)}, ${waiters === 0 ? 'no caller waits' : `${waiters} waiting`}`,
    ...steps.map(
      ({ name, sinceMs, waitingOn }) =>
        `  ${name}: for ${seconds(nowMs - sinceMs)}${waitingOn ? `, waiting for ${waitingOn}` : ''}`,
    ),
  ]);
}

function operationsOf(json: string | undefined): RunningOperation[] {
  if (json === undefined) throw new CriError('UNIMPLEMENTED', 'this CRI server does not report its operations');
  return (JSON.parse(json) as { running: RunningOperation[] }).running;
}

/** The name of a container contains its pod's: `container_pod_namespace_uid_attempt`. */
const mentions = (subject: string, { metadata }: PodSandbox): boolean =>
  subject.includes(`_${metadata?.name}_${metadata?.namespace}_${metadata?.uid}_`);

const podLine = (pod: PodSandbox): string =>
  `pod ${podName(pod)} ${pod.id.slice(0, 13)}: ${pod.state === PodSandboxState.SANDBOX_READY ? 'ready' : 'not ready'}`;

async function containerLine(
  runtime: RuntimeServiceClient,
  container: Container,
  signal: AbortSignal,
): Promise<string> {
  const { status } = await runtime.containerStatus({ container_id: container.id, verbose: false }, { signal });
  return `  container ${container.metadata?.name} ${container.id.slice(0, 13)}: ${status ? stateOf(status) : 'gone'}`;
}

function stateOf({ state, reason, message, exit_code }: ContainerStatus): string {
  switch (state) {
    case ContainerState.CONTAINER_CREATED:
      return 'created, not started';
    case ContainerState.CONTAINER_RUNNING:
      return 'running';
    case ContainerState.CONTAINER_EXITED:
      return `exited with ${exit_code}, ${reason}${message === '' ? '' : `: ${message}`}`;
    default:
      return 'state unknown';
  }
}

const seconds = (ms: number): string => `${Math.max(0, Math.round(ms / 1000))} s`;

const lines = (texts: readonly string[]): string => texts.map((text) => `${text}\n`).join('');
