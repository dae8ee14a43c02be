import { ImageCreate, ImageDelete, ImageUpdate } from '../../generated/containerd/events/image.js';
import { TaskExit, TaskOOM } from '../../generated/containerd/events/task.js';
import type { Any, ContainerdEvent } from './containerd.js';
import { timestampNs } from './wire-time.js';

/** Keyed by topic: the type URLs of image events have another form (containerd.services.images.v1.ImageCreate). */
const DECODERS: Readonly<Record<string, (value: Uint8Array) => ContainerdEvent>> = {
  '/tasks/exit': (value) => {
    const { container_id, id, pid, exit_status, exited_at } = TaskExit.decode(value);
    return {
      kind: 'task-exit',
      containerId: container_id,
      execId: id === container_id ? '' : id,
      pid,
      exit: { exitStatus: exit_status, exitedAtNs: timestampNs(exited_at) },
    };
  },
  '/tasks/oom': (value) => ({ kind: 'task-oom', containerId: TaskOOM.decode(value).container_id }),
  '/images/create': (value) => ({ kind: 'image-changed', name: ImageCreate.decode(value).name, deleted: false }),
  '/images/update': (value) => ({ kind: 'image-changed', name: ImageUpdate.decode(value).name, deleted: false }),
  '/images/delete': (value) => ({ kind: 'image-changed', name: ImageDelete.decode(value).name, deleted: true }),
};

/** containerd's filters for the topics that crid reads and for `topics`, in one namespace only. They are ORed. */
export const eventFilters = (namespace: string, topics: readonly string[] = []): string[] =>
  [...Object.keys(DECODERS), ...topics].map(
    (topic) => `topic==${JSON.stringify(topic)},namespace==${JSON.stringify(namespace)}`,
  );

/** Returns undefined for an event that crid does not read. `execId` is "" for the container's own process. */
export const decodeEvent = (topic: string, event: Any): ContainerdEvent | undefined => DECODERS[topic]?.(event.value);
