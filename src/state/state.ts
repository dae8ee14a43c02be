import { isCode, notFound } from '../base/errors.js';
import type { Containerd } from '../containerd/containerd.js';
import { STATUS_EXTENSION, encodeStatus } from './stored.js';
import { toStoredStatus } from './status.js';
import { createClaims, type Claims } from './claims.js';
import { createNewIds, type NewIds } from './new-ids.js';
import type { StatusFiles } from './status-file.js';
import { createTable, type Table } from './table.js';
import type { Container, Pod } from './records.js';

/** crid's memory: a cache of what containerd keeps, rebuilt from it at every start. */
export interface State {
  readonly pods: Table<Pod>;
  readonly containers: Table<Container>;
  /** What is in containerd and cannot be read. */
  readonly claims: Claims;
  readonly newIds: NewIds;
  containersOf(podId: string): readonly Container[];
  /**
   * Changes one container: `change` sees the newest record and answers the new one (the same: nothing happens). The
   * status is persisted in containerd before it is published here; changes of one container run one after another.
   * NOT_FOUND when there is no such container.
   */
  updateContainer(id: string, change: (container: Container) => Container): Promise<Container>;
}

export function createState(containerd: Pick<Containerd, 'containers'>, statusFiles?: StatusFiles): State {
  const pods = createTable<Pod>('pod sandbox');
  const containers = createTable<Container>('container');
  const ofPod = indexByPod(containers);
  /** The last change of each container that has one under way. */
  const turns = new Map<string, Promise<unknown>>();

  const change = async (id: string, apply: (container: Container) => Container): Promise<Container> => {
    const before = containers.find(id, 'container_id');
    if (!before) throw notFound('container', id);
    const after = apply(before);
    if (after === before) return before;
    const extensions = { [STATUS_EXTENSION]: encodeStatus(toStoredStatus(after)) };
    await Promise.all([
      containerd.containers.update({ id, extensions }, [`extensions.${STATUS_EXTENSION}`]).catch((thrown: unknown) => {
        // Another client has removed the record. The change must still be published, or the container would run for ever.
        if (!isCode(thrown, 'NOT_FOUND')) throw thrown;
      }),
      statusFiles?.write(after),
    ]);
    containers.put(after);
    return after;
  };

  return {
    pods,
    containers,
    claims: createClaims(),
    newIds: createNewIds(),
    containersOf: (podId) => [...(ofPod.get(podId) ?? [])].flatMap((id) => containers.byId(id) ?? []),
    async updateContainer(id, apply) {
      const turn = (turns.get(id) ?? Promise.resolve()).catch(() => undefined).then(() => change(id, apply));
      turns.set(id, turn);
      try {
        return await turn;
      } finally {
        if (turns.get(id) === turn) turns.delete(id);
      }
    },
  };
}

function indexByPod(containers: Table<Container>): Map<string, Set<string>> {
  const index = new Map<string, Set<string>>();
  containers.onChange((before, after) => {
    if (before && after) return;
    const { podId, id } = (after ?? before)!;
    const ids = index.get(podId) ?? new Set<string>();
    if (after) ids.add(id);
    else ids.delete(id);
    if (ids.size > 0) index.set(podId, ids);
    else index.delete(podId);
  });
  return index;
}
