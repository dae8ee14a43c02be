import { createClientFactory, Metadata, ClientError, Status } from 'nice-grpc';
import { TaskExecAdded } from '../../generated/containerd/events/task.js';
import { EventsDefinition } from '../../generated/containerd/services/events/v1/events.js';
import { TasksDefinition } from '../../generated/containerd/services/tasks/v1/tasks.js';
import { limited, openChannel } from './cri-client.js';

/**
 * Tracks every exec that containerd creates from now on. containerd cannot list execs, so they are taken from its
 * events.
 */
export interface ExecWatch {
  readonly made: number;
  /** Returns the execs that a shim still has, running or not. */
  left(): Promise<string[]>;
  close(): void;
}

export async function watchExecs(socket: string, namespace: string): Promise<ExecWatch> {
  const channel = openChannel(socket);
  const options = { '*': { metadata: Metadata({ 'containerd-namespace': namespace }) } };
  const clients = createClientFactory().use(limited);
  const tasks = clients.create(TasksDefinition, channel, options);
  const over = new AbortController();
  const unknown = new Map<string, { readonly container_id: string; readonly exec_id: string }>();
  let made = 0;

  const follow = async (): Promise<void> => {
    const filters = [`namespace==${namespace},topic=="/tasks/exec-added"`];
    const events = clients.create(EventsDefinition, channel).subscribe({ filters }, { signal: over.signal });
    for await (const { event } of events) {
      const { container_id, exec_id } = TaskExecAdded.decode(event?.value ?? new Uint8Array());
      unknown.set(exec_id, { container_id, exec_id });
      made += 1;
    }
  };
  const following = follow();
  following.catch(() => undefined);
  // containerd does not confirm a subscription. Once it has replied to a later call, the subscription is active.
  await tasks.list({});

  return {
    get made() {
      return made;
    },
    async left() {
      if (over.signal.aborted) throw new Error('the watch is closed');
      for (const [id, target] of unknown) {
        const gone = await tasks.get(target).then(() => false, isNotFound);
        if (gone) unknown.delete(id);
      }
      return [...unknown.keys()];
    },
    close() {
      over.abort();
      channel.close();
    },
  };
}

function isNotFound(thrown: unknown): boolean {
  if (thrown instanceof ClientError && thrown.code === Status.NOT_FOUND) return true;
  throw thrown;
}
