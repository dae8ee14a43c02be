import { CriError } from '../base/errors.js';
import type { Container, ContainerState, Pod, PodState } from './records.js';
import type { State } from './state.js';

export type ReadyPod = Pod & { readonly state: Extract<PodState, { phase: 'ready' }> };
export type RunningContainer = Container & { readonly state: Extract<ContainerState, { phase: 'running' }> };

export const isReady = (pod: Pod): pod is ReadyPod => pod.state.phase === 'ready';

export const isRunning = (container: Container): container is RunningContainer => container.state.phase === 'running';

/** Returns the container with this full id, if it runs. */
export function findRunning({ containers }: Pick<State, 'containers'>, id: string): RunningContainer | undefined {
  const container = containers.byId(id);
  return container && isRunning(container) ? container : undefined;
}

export const podNotReady = (id: string): CriError =>
  new CriError('FAILED_PRECONDITION', `pod sandbox "${id}" is not ready`);

/** Returns the pod. Throws FAILED_PRECONDITION when it is not ready. */
export function requireReady(pod: Pod): ReadyPod {
  if (!isReady(pod)) throw podNotReady(pod.id);
  return pod;
}

/** Returns the container. Throws FAILED_PRECONDITION, with its phase, when it does not run. */
export function requireRunning(container: Container): RunningContainer {
  if (isRunning(container)) return container;
  const { id, state } = container;
  throw new CriError('FAILED_PRECONDITION', `container "${id}" is ${state.phase}, not running`);
}
