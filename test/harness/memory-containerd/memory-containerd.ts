import type { Containerd } from '../../../src/containerd/containerd.js';
import { createConnection, type Connection } from './calls.js';
import { memoryContainers } from './containers.js';
import { memoryContent } from './content.js';
import { memoryController } from './controller.js';
import { dump, type Dump } from './dump.js';
import { memoryEvents } from './events.js';
import { garbage } from './garbage.js';
import { memoryImages } from './images.js';
import { memoryLeases } from './leases.js';
import { memoryMounts } from './mounts.js';
import { memorySandboxes } from './sandboxes.js';
import { seedImage, type SeededImage } from './seed.js';
import { memorySnapshots } from './snapshots.js';
import { createStore, type StartedSandbox, type Store } from './store.js';
import { endTask, memoryTasks } from './tasks.js';
import { notInMemory } from './unused.js';

/** A client of the in-memory containerd, with what a test may do to its connection. */
export interface MemoryClient extends Containerd {
  readonly connection: Omit<Connection, 'call'>;
}

/**
 * A containerd in memory, for unit tests: the records, snapshots, leases and tasks of one namespace, and the codes of
 * containerd's errors. The contract in test/contract/ holds it to the real one.
 */
export interface MemoryContainerd {
  /** Returns a new client. A crid that takes over from another one has a client of its own. */
  connect(): MemoryClient;
  seedImage(image: Parameters<typeof seedImage>[1]): SeededImage;
  /** Sets what sandbox controllers return at a start from now on. */
  startsSandboxes(as: StartedSandbox): void;
  /** Ends the process of a task by itself. */
  exit(containerId: string, exitStatus: number): void;
  dump(): Dump;
  /** The snapshots that the garbage collector would delete now, as `SNAPSHOTTER KEY`. */
  garbage(): string[];
}

export function createMemoryContainerd(): MemoryContainerd {
  const store = createStore();
  return {
    connect: () => connect(store),
    seedImage: (image) => seedImage(store, image),
    startsSandboxes: (as) => void (store.started = as),
    exit: (containerId, exitStatus) => endTask(store, containerId, exitStatus),
    dump: () => dump(store),
    garbage: () => garbage(store),
  };
}

function connect(store: Store): MemoryClient {
  const { call, ...connection } = createConnection();
  return {
    connection,
    address: '/memory/containerd.sock',
    namespace: 'k8s.io',
    containers: memoryContainers(store, call),
    tasks: memoryTasks(store, call),
    images: memoryImages(store, call),
    content: memoryContent(store, call),
    leases: memoryLeases(store, call),
    sandboxes: memorySandboxes(store, call),
    events: memoryEvents(store),
    mounts: memoryMounts(store, call),
    snapshots: (snapshotter) => memorySnapshots(store, call, snapshotter),
    diff: { apply: notInMemory('diff.apply'), create: notInMemory('diff.create') },
    transfer: { pull: notInMemory('transfer.pull') },
    ofNamespace: () => {
      const other = createStore();
      return {
        images: memoryImages(other, call),
        content: memoryContent(other, call),
        leases: memoryLeases(other, call),
        transfer: { pull: notInMemory('transfer.pull') },
      };
    },
    controller: memoryController(store, call),
    introspection: {
      version: notInMemory('introspection.version'),
      plugins: notInMemory('introspection.plugins'),
      server: notInMemory('introspection.server'),
      runtimeFeatures: notInMemory('introspection.runtimeFeatures'),
    },
    close: () => undefined,
  };
}
