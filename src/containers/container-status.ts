import type { ContainerStatusRequest, ContainerStatusResponse } from '../../generated/runtime/v1/api.js';
import { decodeRuntimeOptions } from '../containerd/runtime-options.js';
import { storedAudit } from '../nri/stored-audit.js';
import { parseSpec } from '../spec/spec-json.js';
import { containerStatusOf } from '../state/cri-view.js';
import { stringifyGoJson, toGoJson } from '../state/go-json.js';
import type { Container } from '../state/records.js';
import { isRunning } from '../state/require.js';
import type { ContainerDeps } from './container-deps.js';

/**
 * Returns a container's status from memory (CRI ContainerStatus); only `verbose` asks containerd. NOT_FOUND: no such
 * container.
 */
export const containerStatus =
  (deps: Pick<ContainerDeps, 'state' | 'containerd' | 'operations' | 'images'>) =>
  async (request: ContainerStatusRequest): Promise<ContainerStatusResponse> => {
    const container = deps.state.containers.get(request.container_id, 'container_id');
    return {
      status: containerStatusOf(container, deps.images),
      info: request.verbose ? { info: await verboseInfo(deps, container) } : {},
    };
  };

/**
 * Returns the JSON that `crictl inspect` shows under `info`: the keys of containerd's CRI plugin, what NRI
 * plugins changed, and the running operations.
 */
async function verboseInfo(
  deps: Pick<ContainerDeps, 'containerd' | 'operations'>,
  container: Container,
): Promise<string> {
  const record = await deps.containerd.containers.get(container.id);
  const operations = deps.operations.list().filter(({ subject }) => subject === container.id);
  return stringifyGoJson({
    sandboxID: container.podId,
    pid: isRunning(container) ? container.state.pid : 0,
    removing: operations.some(({ kind }) => kind === 'remove container'),
    snapshotKey: record.snapshotKey,
    snapshotter: record.snapshotter,
    runtimeType: record.runtime.name,
    runtimeOptions: record.runtime.options ? decodeRuntimeOptions(record.runtime.options) : null,
    config: toGoJson(container.config),
    runtimeSpec: record.spec ? parseSpec(record.spec) : null,
    nriAdjustments: storedAudit(record.extensions),
    operations,
  });
}
