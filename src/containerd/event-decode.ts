import { ContainerDelete } from '../../generated/containerd/events/container.js';
import { ImageCreate, ImageDelete, ImageUpdate } from '../../generated/containerd/events/image.js';
import { TaskExit, TaskOOM } from '../../generated/containerd/events/task.js';
import type { Any, ContainerdEvent } from './containerd.js';
import { timestampNs } from './wire-time.js';

/** containerd's filters for the topics that are read, of one namespace only. They are ORed. */
export const eventFilters = (namespace: string, topics: readonly string[] = []): string[] =>
  [
    ...['/tasks/exit', '/tasks/oom', '/containers/delete', '/images/create', '/images/update', '/images/delete'],
    ...topics,
  ].map((topic) => `topic==${JSON.stringify(topic)},namespace==${JSON.stringify(namespace)}`);

/** undefined for an event that crid does not read. `execId` is "" for the container's own process. */
export function decodeEvent(event: Any): ContainerdEvent | undefined {
  switch (event.type_url) {
    case 'containerd.events.TaskExit': {
      const { container_id, id, pid, exit_status, exited_at } = TaskExit.decode(event.value);
      return {
        kind: 'task-exit',
        containerId: container_id,
        execId: id === container_id ? '' : id,
        pid,
        exit: { exitStatus: exit_status, exitedAtNs: timestampNs(exited_at) },
      };
    }
    case 'containerd.events.TaskOOM':
      return { kind: 'task-oom', containerId: TaskOOM.decode(event.value).container_id };
    case 'containerd.events.ContainerDelete':
      return { kind: 'container-deleted', containerId: ContainerDelete.decode(event.value).id };
    case 'containerd.events.ImageCreate':
      return { kind: 'image-changed', name: ImageCreate.decode(event.value).name, deleted: false };
    case 'containerd.events.ImageUpdate':
      return { kind: 'image-changed', name: ImageUpdate.decode(event.value).name, deleted: false };
    case 'containerd.events.ImageDelete':
      return { kind: 'image-changed', name: ImageDelete.decode(event.value).name, deleted: true };
    default:
      return undefined;
  }
}
