import type { Logger } from '../base/log.js';
import { openChannel } from './channel.js';
import { createConnection, createEndings, type ClientOf } from './connection.js';
import type { Containerd, ContentStores } from './containerd.js';
import { createContainers } from './containers.js';
import { createContent } from './content.js';
import { createController } from './controller.js';
import { createDiff } from './diff.js';
import { createEvents } from './events.js';
import { createImages } from './images.js';
import { createIntrospection } from './introspection.js';
import { createLeases } from './leases.js';
import { createMounts } from './mounts.js';
import { createSandboxStore } from './sandboxes.js';
import { createSnapshots } from './snapshots.js';
import { createTasks } from './tasks.js';
import { createTransfer } from './transfer.js';

export interface ContainerdOptions {
  /** The socket: `/run/containerd/containerd.sock`, with or without `unix://`. */
  readonly address: string;
  readonly namespace: string;
  readonly log: Logger;
  /** Timeout of a call that sets none. It includes the wait for the connection. */
  readonly defaultTimeoutMs?: number;
  /** How long a call waits for containerd to be reachable before it fails with UNAVAILABLE. */
  readonly connectTimeoutMs?: number;
  /** Names the shim of a task or sandbox and its state, for messages: `shim 42 (stopped)`. */
  readonly describeShim?: (id: string) => string;
  /** Called at the end of every call. */
  readonly onCall?: (call: { method: string; code: string; durationMs: number }) => void;
}

/** Twice the kubelet's request timeout, so that the callers' own timeouts come first. */
const DEFAULT_TIMEOUT_MS = 240_000;
const CONNECT_TIMEOUT_MS = 10_000;

/** Creates the client. It sends nothing before the first call, so containerd need not be up yet. */
export function createContainerd(options: ContainerdOptions): Containerd {
  const { address, namespace, log } = options;
  const channel = openChannel(address);
  const endings = createEndings();
  const connectionOf = (name: string): ClientOf =>
    createConnection({
      channel,
      namespace: name,
      log,
      defaultTimeoutMs: options.defaultTimeoutMs ?? DEFAULT_TIMEOUT_MS,
      connectTimeoutMs: options.connectTimeoutMs ?? CONNECT_TIMEOUT_MS,
      endings,
      describeShim: options.describeShim,
      onCall: options.onCall,
    });
  const clientOf = connectionOf(namespace);
  return {
    address,
    namespace,
    ...contentStores(clientOf, log),
    ofNamespace: (name) => contentStores(connectionOf(name), log),
    containers: createContainers(clientOf),
    tasks: createTasks(clientOf),
    diff: createDiff(clientOf),
    sandboxes: createSandboxStore(clientOf),
    controller: createController(clientOf),
    events: createEvents(clientOf, { namespace, log, isClosed: () => endings.closed }),
    introspection: createIntrospection(clientOf),
    mounts: createMounts(clientOf),
    snapshots: createSnapshots(clientOf),
    close: () => {
      endings.endAll();
      channel.close();
    },
  };
}

function contentStores(clientOf: ClientOf, log: Logger): ContentStores {
  const leases = createLeases(clientOf);
  return {
    images: createImages(clientOf),
    content: createContent(clientOf),
    leases,
    transfer: createTransfer(clientOf, leases, log),
  };
}
