import { CriError } from '../base/errors.js';
import type { Container } from '../state/records.js';
import type { State } from '../state/state.js';

/**
 * Returns the container. NOT_FOUND, INVALID_ARGUMENT (an ambiguous prefix), FAILED_PRECONDITION when it does not run.
 */
export function runningContainer(state: State, idOrPrefix: string): Container {
  const container = state.containers.get(idOrPrefix, 'container_id');
  if (container.state.phase !== 'running') {
    throw new CriError('FAILED_PRECONDITION', `container "${container.id}" is ${container.state.phase}, not running`);
  }
  return container;
}
