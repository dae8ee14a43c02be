import type { ReopenContainerLogRequest, ReopenContainerLogResponse } from '../../generated/runtime/v1/api.js';
import { CriError } from '../base/errors.js';
import type { Container } from '../state/records.js';
import type { State } from '../state/state.js';
import type { ContainerIo } from '../stdio/stdio.js';

/**
 * Reopens the log file after it was renamed (CRI ReopenContainerLog). FAILED_PRECONDITION when the container does not
 * run.
 */
export const reopenContainerLog =
  (deps: { readonly state: State; readonly ios: ReadonlyMap<string, Pick<ContainerIo, 'reopenLog'>> }) =>
  async (request: ReopenContainerLogRequest): Promise<ReopenContainerLogResponse> => {
    const container: Container = deps.state.containers.get(request.container_id, 'container_id');
    const io = deps.ios.get(container.id);
    if (container.state.phase !== 'running' || !io) {
      throw new CriError('FAILED_PRECONDITION', `container "${container.id}" is ${container.state.phase}, not running`);
    }
    await io.reopenLog();
    return {};
  };
