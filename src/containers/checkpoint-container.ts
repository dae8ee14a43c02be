import { access, constants } from 'node:fs/promises';
import { delimiter, isAbsolute, join } from 'node:path';
import type { CheckpointContainerRequest, CheckpointContainerResponse } from '../../generated/runtime/v1/api.js';
import { CriError, invalidArgument } from '../base/errors.js';
import type { ContainerDeps } from './deps.js';

/**
 * CRI CheckpointContainer. Nothing is checkpointed yet: where all is there for it, the answer is UNIMPLEMENTED.
 * FAILED_PRECONDITION where it is turned off (`runtime.enable_criu`), where the node has no criu, and for a container
 * that does not run; INVALID_ARGUMENT names the field; NOT_FOUND: no such container.
 */
export const checkpointContainer =
  (deps: Pick<ContainerDeps, 'state' | 'config'>) =>
  async (request: CheckpointContainerRequest): Promise<CheckpointContainerResponse> => {
    const { id, state } = deps.state.containers.get(request.container_id, 'container_id');
    if (!isAbsolute(request.location)) throw invalidArgument('location', `"${request.location}" is no absolute path`);
    if (!deps.config.runtime.enable_criu) throw refused(id, 'runtime.enable_criu is off');
    if (!(await isInPath('criu'))) throw refused(id, 'criu is not in the PATH of crid');
    if (state.phase !== 'running') throw refused(id, `it does not run, it is ${state.phase}`);
    throw new CriError('UNIMPLEMENTED', `container "${id}" cannot be checkpointed: this version writes no archives`);
  };

const refused = (id: string, why: string): CriError =>
  new CriError('FAILED_PRECONDITION', `container "${id}" cannot be checkpointed: ${why}`);

async function isInPath(program: string): Promise<boolean> {
  const found = (process.env['PATH'] ?? '').split(delimiter).map((directory) =>
    access(join(directory, program), constants.X_OK).then(
      () => true,
      () => false,
    ),
  );
  return (await Promise.all(found)).includes(true);
}
