import { CriError } from '../base/errors.js';
import { requireRunning, type RunningContainer } from '../state/require.js';
import type { State } from '../state/state.js';

/**
 * Returns the container. NOT_FOUND, INVALID_ARGUMENT (an ambiguous prefix), FAILED_PRECONDITION when it does not run.
 */
export const runningContainer = ({ containers }: Pick<State, 'containers'>, idOrPrefix: string): RunningContainer =>
  requireRunning(containers.get(idOrPrefix, 'container_id'));

/** The error for a container whose streams crid could not open. */
export const noStreams = (id: string): CriError =>
  new CriError('FAILED_PRECONDITION', `container "${id}" has no streams`);
