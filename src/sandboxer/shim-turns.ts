import { CriError } from '../base/errors.js';
import { unlessAborted } from '../base/time.js';
import { beginWait } from '../base/waits.js';
import type { CallOptions, Tasks } from '../containerd/containerd.js';
import { isOfEndedShim } from './ended-shim.js';

interface Call {
  readonly containerId: string;
  readonly ended: Promise<void>;
}

/** The calls that run on the shim of one pod. */
interface Turns {
  /** The number of calls that run or wait. */
  calls: number;
  create: Call | undefined;
  readonly deletes: Set<Call>;
}

/**
 * Returns the tasks of a containerd, with turns for the pods that have no shim of their own. `podOf` returns such a pod
 * of a container. Its containers share a shim, which the first of them starts. containerd asks the shim to end after
 * each Delete and each failed Create, and the shim does not count a container that it is still creating. So a Create
 * runs alone, and Deletes run together. A shim that ends nevertheless, because another client has deleted a task or a
 * kill of crid has cut a Create off, fails a Create, which is sent once more; then it is UNAVAILABLE.
 */
export function withShimTurns(tasks: Tasks, podOf: (containerId: string) => string | undefined): Tasks {
  const pods = new Map<string, Turns>();

  const inTurn = async <T>(
    kind: 'create' | 'delete',
    { pod, containerId }: { readonly pod: string; readonly containerId: string },
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
      const call = { containerId, ended };
      if (kind === 'create') turns.create = call;
      else turns.deletes.add(call);
      try {
        return await running;
      } finally {
        if (kind === 'create') turns.create = undefined;
        else turns.deletes.delete(call);
      }
    } finally {
      turns.calls -= 1;
      if (turns.calls === 0) pods.delete(pod);
    }
  };

  return {
    ...tasks,
    create(request, options = {}) {
      const { containerId } = request;
      const pod = podOf(containerId);
      if (pod === undefined) return tasks.create(request, options);
      const again = (thrown: unknown): ReturnType<Tasks['create']> => {
        if (options.signal?.aborted || !isOfEndedShim(thrown)) throw thrown;
        return tasks.create(request, options);
      };
      return inTurn('create', { pod, containerId }, options, () =>
        tasks.create(request, options).catch(again).catch(ifShimHasEnded),
      );
    },
    delete(containerId, options = {}) {
      const pod = podOf(containerId);
      return pod === undefined
        ? tasks.delete(containerId, options)
        : inTurn('delete', { pod, containerId }, options, () => tasks.delete(containerId, options));
    },
  };
}

const isTaken = ({ create, deletes }: Turns, kind: 'create' | 'delete'): boolean =>
  create !== undefined || (kind === 'create' && deletes.size > 0);

async function untilFree({ create, deletes }: Turns, pod: string, signal: AbortSignal | undefined): Promise<void> {
  const calls = create ? [create] : [...deletes];
  const containers = calls.map(({ containerId }) => `container ${containerId}`).join(', ');
  const endWait = beginWait(() => `the shim of pod ${pod} to ${create ? 'create' : 'delete'} ${containers}`);
  try {
    await unlessAborted(Promise.all(calls.map(({ ended }) => ended)), signal);
  } finally {
    endWait();
  }
}

function ifShimHasEnded(thrown: unknown): never {
  if (!isOfEndedShim(thrown)) throw thrown;
  const { message } = CriError.from(thrown);
  throw new CriError('UNAVAILABLE', `the shim has ended during the create: ${message}`, { cause: thrown });
}
