import type { ContainerUpdate } from '../../../generated/nri/v1alpha1/api.js';
import {
  LinuxResources,
  type ContainerEviction,
  type StopContainerResponse,
  type UpdateContainerRequest,
  type UpdateContainerResponse,
} from '../../../generated/nri/v1alpha1/api.js';
import { CriError } from '../../base/errors.js';
import { mergeResources } from './merge-resources.js';
import { createOwners, type Owners } from './owners.js';

/** Updates of containers from several plugins, merged to one for each container. */
export interface Updates {
  /**
   * FAILED_PRECONDITION: another plugin has set the same field, unless `ignore_failure` drops the update; or the
   * container is the one that is being created.
   */
  add(updates: readonly ContainerUpdate[], plugin: string): void;
  /** In the order in which plugins first named the containers. */
  list(): ContainerUpdate[];
}

/** `creating`: the container that is being created, which is adjusted and not updated. */
export function createUpdates(owners: Owners, { creating }: { readonly creating?: string } = {}): Updates {
  const byId = new Map<string, ContainerUpdate>();

  return {
    add(updates, plugin) {
      for (const { container_id: id, linux, ignore_failure } of updates) {
        if (id === creating) {
          throw new CriError('FAILED_PRECONDITION', `plugin "${plugin}" asked update of "${id}" during creation`);
        }
        const before = byId.get(id);
        const asked = linux?.resources;
        byId.set(id, {
          container_id: id,
          linux: { resources: before?.linux?.resources ?? LinuxResources.fromPartial({}) },
          ignore_failure: ignore_failure && (before?.ignore_failure ?? true),
        });
        if (!asked) continue;
        try {
          owners.atomically(() => mergeResources.claim(asked, { owners, id, plugin }));
        } catch (thrown) {
          if (ignore_failure) continue;
          throw thrown;
        }
        const merged = byId.get(id)!;
        byId.set(id, { ...merged, linux: { resources: mergeResources.over(merged.linux?.resources, asked) } });
      }
    },
    list: () => [...byId.values()],
  };
}

/** The answers of the plugins to one UpdateContainer, put together in the order of the plugins. */
export interface UpdateMerge {
  /** The request for the next plugin, with the resources as the plugins before it changed them. */
  request(): UpdateContainerRequest;
  /** FAILED_PRECONDITION: another plugin has set the same field. */
  add(response: UpdateContainerResponse, plugin: string): void;
  result(): UpdateResult;
}

export interface UpdateResult {
  /** The values that plugins set in the container that is being updated; undefined if they set none. */
  readonly resources: LinuxResources | undefined;
  /** Updates of other containers, one for each. */
  readonly update: readonly ContainerUpdate[];
  readonly evict: readonly ContainerEviction[];
}

/** Puts the answers of plugins to an UpdateContainer together, by the rules of NRI (pkg/adaptation/result.go). */
export function mergeUpdate(request: UpdateContainerRequest): UpdateMerge {
  const updates = createUpdates(createOwners());
  const evict: ContainerEviction[] = [];
  const id = request.container?.id;
  const own = (): LinuxResources | undefined =>
    updates.list().find(({ container_id }) => container_id === id)?.linux?.resources;

  return {
    request() {
      const set = own();
      const { linux_resources: before } = request;
      return { ...request, linux_resources: set ? mergeResources.over(before, set) : before };
    },
    add(response, plugin) {
      updates.add(response.update, plugin);
      evict.push(...response.evict);
    },
    result: () => ({
      resources: own(),
      update: updates.list().filter(({ container_id }) => container_id !== id),
      evict,
    }),
  };
}

/** Merges the answers to a StopContainer, in the order of the plugins. */
export function mergeStops(
  answers: readonly { readonly plugin: string; readonly response: StopContainerResponse }[],
): ContainerUpdate[] {
  const updates = createUpdates(createOwners());
  for (const { plugin, response } of answers) updates.add(response.update, plugin);
  return updates.list();
}
