import type { ReopenContainerLogRequest, ReopenContainerLogResponse } from '../../generated/runtime/v1/api.js';
import type { State } from '../state/state.js';
import type { ContainerIo } from '../stdio/stdio.js';
import { noStreams, runningContainer } from './running-container.js';

/**
 * Reopens the log file after it was renamed (CRI ReopenContainerLog). FAILED_PRECONDITION when the container does not
 * run.
 */
export const reopenContainerLog =
  (deps: { readonly state: State; readonly stdio: { of(id: string): Pick<ContainerIo, 'reopenLog'> | undefined } }) =>
  async (request: ReopenContainerLogRequest): Promise<ReopenContainerLogResponse> => {
    const { id } = runningContainer(deps.state, request.container_id);
    const io = deps.stdio.of(id);
    if (!io) throw noStreams(id);
    await io.reopenLog();
    return {};
  };
