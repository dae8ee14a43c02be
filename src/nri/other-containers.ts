import type { ContainerEviction, ContainerUpdate, LinuxResources } from '../../generated/nri/v1alpha1/api.js';
import { CriError } from '../base/errors.js';
import { logOf, type Logger } from '../base/log.js';

/** The operations on containers that plugins may ask for. */
export interface OtherContainers {
  update(id: string, resources: LinuxResources): Promise<void>;
  evict(id: string): Promise<void>;
}

/**
 * Applies the changes that plugins want of other containers, and returns the updates that failed. The changes are no
 * part of a caller's request, so failures are logged. `plugin`: the one that asks, if it is a single one.
 */
export async function applyToOthers(
  { log: root, others }: { readonly log: Logger; readonly others: OtherContainers },
  update: readonly ContainerUpdate[],
  evict: readonly ContainerEviction[],
  plugin?: string,
): Promise<ContainerUpdate[]> {
  const log = logOf(root);
  const failed: ContainerUpdate[] = [];
  for (const { container_id: container, reason } of evict) {
    log.info({ plugin, container, reason }, 'container evicted by an NRI plugin');
    await others.evict(container).catch((thrown: unknown) => {
      log.warn({ plugin, container, err: CriError.from(thrown).message }, 'container not evicted');
    });
  }
  for (const asked of update) {
    const { container_id: container, linux, ignore_failure } = asked;
    if (!linux?.resources) continue;
    try {
      await others.update(container, linux.resources);
      log.info({ plugin, container }, 'container updated by an NRI plugin');
    } catch (thrown) {
      const level = ignore_failure ? 'debug' : 'warn';
      log[level]({ plugin, container, err: CriError.from(thrown).message }, 'update of an NRI plugin not applied');
      failed.push(asked);
    }
  }
  return failed;
}
