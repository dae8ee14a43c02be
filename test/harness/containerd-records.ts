import { createClientFactory, Metadata } from 'nice-grpc';
import { ContainersDefinition } from '../../generated/containerd/services/containers/v1/containers.js';
import { LeasesDefinition } from '../../generated/containerd/services/leases/v1/leases.js';
import { StoreDefinition } from '../../generated/containerd/services/sandbox/v1/sandbox.js';
import { Kind, SnapshotsDefinition } from '../../generated/containerd/services/snapshots/v1/snapshots.js';
import { TasksDefinition } from '../../generated/containerd/services/tasks/v1/tasks.js';
import { limited, openChannel } from './cri-client.js';

export interface ContainerdRecords {
  readonly container: string[];
  readonly task: string[];
  /** Snapshots of containers and pods. Committed ones belong to images and are left out. */
  readonly snapshot: string[];
  readonly lease: string[];
  readonly sandbox: string[];
}

/** Returns what containerd has in a namespace. Uses none of crid's own code. */
export async function recordsIn(
  socket: string,
  namespace: string,
  snapshotter = 'overlayfs',
): Promise<ContainerdRecords> {
  const channel = openChannel(socket);
  try {
    const clients = createClientFactory().use(limited);
    const options = { '*': { metadata: Metadata({ 'containerd-namespace': namespace }) } };
    const { containers } = await clients.create(ContainersDefinition, channel, options).list({});
    const { tasks } = await clients.create(TasksDefinition, channel, options).list({});
    const { leases } = await clients.create(LeasesDefinition, channel, options).list({});
    const { list } = await clients.create(StoreDefinition, channel, options).list({});
    const snapshots: string[] = [];
    for await (const { info } of clients.create(SnapshotsDefinition, channel, options).list({ snapshotter })) {
      snapshots.push(...info.filter(({ kind }) => kind !== Kind.COMMITTED).map(({ name }) => name));
    }
    return {
      container: containers.map(({ id }) => id),
      task: tasks.map(({ id, container_id: container }) => container || id),
      snapshot: snapshots,
      lease: leases.map(({ id }) => id),
      sandbox: list.map(({ sandbox_id: id }) => id),
    };
  } finally {
    channel.close();
  }
}
