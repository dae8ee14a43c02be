import { CriError } from '../base/errors.js';
import { unlessAborted } from '../base/time.js';
import { beginWait } from '../base/waits.js';
import type { CallOptions, Tasks } from '../containerd/containerd.js';

/** The calls that run on the shim of one pod. */
interface Turns {
  /** The number of calls that run or wait. */
  calls: number;
  create: Promise<void> | undefined;
  readonly deletes: Set<Promise<void>>;
}

/**
 * Returns the tasks of a containerd, with turns for the pods that have no shim of their own. `podOf` returns such a pod
 * of a container. Its containers share a shim, which the first of them starts. containerd asks the shim to end after
 * each Delete and each failed Create, and the shim does not count a container that it is still creating. So a Create
 * runs alone, and Deletes run together. A shim that ends nevertheless, because another client has deleted a task,
 * fails a Create, which is sent once more.
 */
export function withShimTurns(tasks: Tasks, podOf: (containerId: string) => string | undefined): Tasks {
  const pods = new Map<string, Turns>();

  const inTurn = async <T>(
    kind: 'create' | 'delete',
    pod: string,
    { signal }: Pick<CallOptions, 'signal'>,
    work: () => Promise<T>,
  ): Promise<T> => {
    const turns = pods.get(pod) ?? { calls: 0, create: undefined, deletes: new Set() };
    pods.set(pod, turns);
    turns.calls += 1;
    try {
      // The look and the call are one turn of the event loop.
      while (isTaken(turns, kind)) await untilFree(turns, pod, signal);
      const running = work();
      const ended = running.then(
        () => undefined,
        () => undefined,
      );
      if (kind === 'create') turns.create = ended;
      else turns.deletes.add(ended);
      try {
        return await running;
      } finally {
        if (kind === 'create') turns.create = undefined;
        else turns.deletes.delete(ended);
      }
    } finally {
      turns.calls -= 1;
      if (turns.calls === 0) pods.delete(pod);
    }
  };

  return {
    ...tasks,
    create(request, options = {}) {
      const pod = podOf(request.containerId);
      if (pod === undefined) return tasks.create(request, options);
      return inTurn('create', pod, options, () =>
        tasks.create(request, options).catch((thrown: unknown) => {
          if (options.signal?.aborted || !isOfEndedShim(thrown)) throw thrown;
          return tasks.create(request, options);
        }),
      );
    },
    delete(containerId, options = {}) {
      const pod = podOf(containerId);
      return pod === undefined
        ? tasks.delete(containerId, options)
        : inTurn('delete', pod, options, () => tasks.delete(containerId, options));
    },
  };
}

const isTaken = ({ create, deletes }: Turns, kind: 'create' | 'delete'): boolean =>
  create !== undefined || (kind === 'create' && deletes.size > 0);

async function untilFree({ create, deletes }: Turns, pod: string, signal: AbortSignal | undefined): Promise<void> {
  const endWait = beginWait(() => `the shim of pod ${pod} to create or delete other containers`);
  try {
    await unlessAborted(Promise.all([create, ...deletes]), signal);
  } finally {
    endWait();
  }
}

/**
 * Whether a shim has ended during the call: containerd passes on the text of its connection to the shim. The texts of
 * an OCI runtime are of another kind, but often end in "no such file or directory", too.
 */
function isOfEndedShim(thrown: unknown): boolean {
  const { message } = CriError.from(thrown);
  const isOfConnection = /ttrpc: closed|connection reset by peer|\bdial .*(connection refused|no such file)/;
  return !message.includes('OCI runtime') && isOfConnection.test(message);
}
