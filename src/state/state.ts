import { allEnded } from '../base/all-ended.js';
import { createKeyedQueue } from '../base/async.js';
import { isCode, notFound } from '../base/errors.js';
import { isAnswerTooLarge } from '../containerd/answers.js';
import type { Containerd } from '../containerd/containerd.js';
import { STATUS_EXTENSION, encodeStatus } from './stored.js';
import { toStoredStatus } from './status-conversion.js';
import { createClaims, type Claims } from './claims.js';
import { createNewIds, type NewIds } from './new-ids.js';
import type { StatusFiles } from './status-file.js';
import { createTable, type Table } from './table.js';
import type { Container, Pod } from './records.js';

/** crid's state: a cache of what containerd keeps, rebuilt from containerd at every start. */
export interface State {
  readonly pods: Table<Pod>;
  readonly containers: Table<Container>;
  /** The records in containerd that cannot be read. */
  readonly claims: Claims;
  readonly newIds: NewIds;
  /** The ids of the pods that are being started or undone, and are not in `pods` yet. */
  readonly starting: Set<string>;
  containersOf(podId: string): readonly Container[];
  /**
   * Updates one container and returns the new record. `change` receives the newest record and returns the new one, or
   * the same to change nothing. The status is persisted in containerd before it is published here. Updates of one
   * container run one after another. NOT_FOUND when there is no such container.
   */
  updateContainer(id: string, change: (container: Container) => Container): Promise<Container>;
  /**
   * As `updateContainer`, but at once and only in memory: for what has already happened, such as an exit, whether or
   * not it can be persisted. Call `persistContainer` afterwards. NOT_FOUND when there is no such container.
   */
  publishContainer(id: string, change: (container: Container) => Container): Container;
  /**
   * Persists the newest status after the updates under way. Does nothing when there is no such container any more.
   * `onceSafe` runs when a start would find the status after a kill, which is the case before containerd has stored it.
   */
  persistContainer(id: string, onceSafe?: () => Promise<void>): Promise<void>;
}

export function createState(containerd: Pick<Containerd, 'containers'>, statusFiles?: StatusFiles): State {
  const pods = createTable<Pod>('pod sandbox');
  const containers = createTable<Container>('container');
  const ofPod = indexByPod(containers);
  const inTurn = createKeyedQueue();

  const update = async (container: Container): Promise<void> => {
    const { id } = container;
    const extensions = { [STATUS_EXTENSION]: encodeStatus(toStoredStatus(container)) };
    try {
      await containerd.containers.update({ id, extensions }, [`extensions.${STATUS_EXTENSION}`]);
    } catch (thrown) {
      // Another client has removed the record, or made it so large that containerd cannot send it back. The change
      // must still be published, or the container would run for ever.
      if (!isCode(thrown, 'NOT_FOUND') && !isAnswerTooLarge(thrown)) throw thrown;
    }
  };
  const persist = async (container: Container, onceSafe?: () => Promise<void>): Promise<void> => {
    const updated = update(container);
    updated.catch(() => undefined);
    // A start takes the later one of the two statuses. The file is not synced: no task outlives a power failure.
    const isInFile = (await statusFiles?.write(container)) ?? false;
    if (!isInFile) await updated;
    await allEnded([updated, ...(onceSafe ? [onceSafe()] : [])]);
  };

  const changed = (id: string, change: (container: Container) => Container) => {
    const before = containers.byId(id);
    if (!before) throw notFound('container', id);
    return { before, after: change(before) };
  };

  const publishContainer: State['publishContainer'] = (id, change) => {
    const { before, after } = changed(id, change);
    if (after !== before) containers.put(after);
    return after;
  };

  return {
    pods,
    containers,
    claims: createClaims(),
    newIds: createNewIds(),
    starting: new Set(),
    containersOf: (podId) => [...(ofPod.get(podId) ?? [])].flatMap((id) => containers.byId(id) ?? []),
    updateContainer: (id, change) =>
      inTurn(id, async () => {
        const { before, after } = changed(id, change);
        if (after === before) return before;
        await persist(after);
        // Apply the change to the newest record: a change published meanwhile, such as an exit, must not be lost.
        return publishContainer(id, change);
      }),
    publishContainer,
    persistContainer: (id, onceSafe) =>
      inTurn(id, async () => {
        const container = containers.byId(id);
        if (container) await persist(container, onceSafe);
      }),
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
