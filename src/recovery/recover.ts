import { setMaxListeners } from 'node:events';
import PQueue from 'p-queue';
import { CriError } from '../base/errors.js';
import { inBackground } from '../base/background.js';
import type { ContainerDeps } from '../containers/container-deps.js';
import { hasCheckpoint } from '../containers/checkpoint-leftovers.js';
import type { Steps } from '../operation/steps.js';
import { releasePullLeases } from '../images/pull-lease.js';
import type { Reading } from '../state/image-readings.js';
import { readRecords, type Rebuilt } from '../state/rebuild.js';
import type { Container, Pod } from '../state/records.js';
import { RECOVERY_LIMIT_MS, type Beside, type RecoverDeps } from './recovery-deps.js';
import { findLeftovers, type Leftovers } from './leftovers.js';
import { listTasks } from './list-tasks.js';
import { hasEnded, recoverContainer } from './recover-container.js';
import { assumedPod, recoverPod } from './recover-pod.js';
import { sweep } from './sweep.js';
import { UNDO_POD, undoPod } from './undo-pod.js';

/** Number of shims that are queried in parallel, so that a shim that hangs does not hold up the others. */
const ASKED_AT_ONCE = 128;
/** The same for what can wait until calls are being served. */
const CLEANED_AT_ONCE = 32;
const UNDONE_AT_ONCE = 16;
/** How long the first call waits for shims to report their tasks: this, and a time for each record. */
const BUDGET_MS = 300;
const BUDGET_PER_RECORD_MS = 0.3;

export type { RecoverDeps } from './recovery-deps.js';

/** The work of a start that runs in parallel with calls. */
export interface Recovery {
  /** Begins to undo and to sweep; to be called once calls are being served. */
  begin(): void;
  /** Resolves when all operations of the start have ended, also those that others have begun. */
  ended(): Promise<void>;
  /** Cancels the work that has not begun; the next start does it. */
  close(): void;
}

/** The content of containerd and of crid's directories at the start. */
export interface Stored {
  readonly found: Rebuilt;
  readonly leftovers: Leftovers;
  readonly reading: Reading;
  /** The ids of the tasks that exist; undefined if containerd has not listed them in time. */
  readonly tasks: ReadonlySet<string> | undefined;
}

/** Reads all records. Publishes none, so that it can run before the rest of crid is there. */
export async function readStored(
  deps: Pick<ContainerDeps, 'containerd' | 'directories' | 'images' | 'log'>,
): Promise<Stored> {
  const records = Promise.all([
    readRecords(deps.containerd, deps.directories),
    findLeftovers(deps),
    deps.images.begin(),
  ]);
  const [[found, leftovers, reading], tasks] = await Promise.all([records, listTasks(deps.containerd, records)]);
  return { found, leftovers, reading, tasks };
}

/**
 * Rebuilds the state in memory from what was read. Queries the task of every record that may have one; a pod or
 * container whose shim does not answer within the budget has the state that its record suggests. The remaining work
 * runs as operations on the pods and containers that it concerns, so that calls on these wait and all other calls do
 * not.
 */
export async function recover(deps: RecoverDeps, { found, leftovers, reading, tasks }: Stored): Promise<Recovery> {
  const { state, log } = deps.containers;
  const startedMs = performance.now();
  for (const claim of found.unreadable) {
    state.claims.add(claim);
    log.error({ id: claim.id, name: claim.name, err: claim.error }, 'record not readable, left alone');
  }
  const beside = createBeside();
  const start = createStart(deps, beside, (id) => tasks?.has(id) ?? true);
  const asked = [
    start.readImages(reading),
    ...publishPods(deps, found.pods).flatMap((pod) => start.pod(pod)),
    ...publishContainers(deps, found.containers).flatMap((container) => start.container(container)),
  ];
  start.releasePulls(leftovers);
  if (!deps.shared) start.sweep(leftovers, found.recordIds);
  const budgetMs = BUDGET_MS + BUDGET_PER_RECORD_MS * (found.pods.length + found.containers.length);
  await Promise.race([Promise.all(asked), new Promise((resolve) => setTimeout(resolve, budgetMs).unref())]);
  log.info(
    {
      pods: state.pods.list().length,
      containers: state.containers.list().length,
      unreadable: found.unreadable.length,
      durationMs: Math.round(performance.now() - startedMs),
    },
    'state rebuilt',
  );
  return { begin: beside.begin, ended: start.ended, close: beside.close };
}

function createBeside(): Beside & Pick<Recovery, 'begin' | 'close'> {
  const closing = new AbortController();
  setMaxListeners(0, closing.signal);
  let begin = (): void => undefined;
  const served = new Promise<void>((resolve, reject) => {
    begin = resolve;
    closing.signal.addEventListener('abort', () => reject(CriError.from(closing.signal.reason)), { once: true });
  });
  served.catch(() => undefined);
  return {
    served,
    closing: closing.signal,
    begin: () => begin(),
    close: () => closing.abort(new CriError('CANCELLED', 'crid stops')),
  };
}

/**
 * Publishes the records and returns those that it could publish. A record whose name is taken is left alone, like a
 * record that cannot be read.
 */
function publish<T extends { readonly id: string; readonly name: string }>(
  deps: RecoverDeps,
  records: readonly T[],
  put: (record: T) => void,
): T[] {
  const { state, log } = deps.containers;
  return records.filter((record) => {
    try {
      put(record);
      return true;
    } catch (thrown) {
      const error = CriError.from(thrown).message;
      state.claims.add({ id: record.id, name: record.name, error });
      log.error({ id: record.id, name: record.name, err: error }, 'record not published, left alone');
      return false;
    }
  });
}

function publishPods(deps: RecoverDeps, read: readonly Pod[]): Pod[] {
  const { handlers, state } = deps.pods;
  const pods = read.map((pod) => ({ ...pod, snapshotter: pod.snapshotter || handlers.of(pod).snapshotter }));
  return publish(deps, pods, (pod) => state.pods.put(assumedPod(pod)));
}

const publishContainers = (deps: RecoverDeps, read: readonly Container[]): Container[] =>
  publish(deps, read, (container) => deps.containers.state.containers.put(container));

/** Runs the operations of a start in their queues. A failed one is logged. */
function createRunner({ containers: { operations, log } }: RecoverDeps, beside: Beside) {
  const asks = new PQueue({ concurrency: ASKED_AT_ONCE });
  const cleanUps = new PQueue({ concurrency: CLEANED_AT_ONCE });

  const running = new Set<Promise<void>>();
  const run = (kind: string, subject: string, key: string, work: (steps: Steps) => Promise<void>): Promise<void> => {
    const operation = operations
      .run({ kind, subject, key, caller: {}, limitMs: RECOVERY_LIMIT_MS, work })
      .catch((thrown: unknown) => log.error({ kind, subject, err: CriError.from(thrown).message }, 'not recovered'))
      .then(() => void running.delete(operation));
    running.add(operation);
    return operation;
  };
  return {
    run,
    async ended(): Promise<void> {
      while (running.size > 0) await Promise.all(running);
    },
    start: (...operation: Parameters<typeof run>): void => inBackground(log, operation[0], run(...operation)),
    /** Returns what the first call waits for: the operation, unless it can wait until calls are being served. */
    recoverOne(
      what: 'pod sandbox' | 'container',
      key: string,
      id: string,
      canWait: boolean,
      work: (steps: Steps) => Promise<void>,
    ): Promise<void>[] {
      const recovered = run(`recover ${what}`, id, key, async (steps) => {
        if (canWait) await beside.served;
        await (canWait ? cleanUps : asks).add(() => work(steps));
      });
      return canWait ? [] : [recovered];
    },
  };
}

/** Begins the operations of a start; each holds its key from now on. The first call waits for the returned promises. */
function createStart(deps: RecoverDeps, beside: Beside, mayHaveTask: (id: string) => boolean) {
  const { containerd } = deps.containers;
  const undos = new PQueue({ concurrency: UNDONE_AT_ONCE });
  const { run, start, recoverOne, ended } = createRunner(deps, beside);
  const undo = (pod: Pod): void => {
    const { namespace: podNamespace = '', name = '' } = pod.config.metadata ?? {};
    start(UNDO_POD, `${podNamespace}/${name}`, `pod-name:${pod.name}`, async (steps) => {
      await beside.served;
      await undos.add(() => undoPod(deps.pods, steps, pod), { signal: beside.closing });
    });
  };

  return {
    ended,
    readImages: ({ records, remaining, done }: Reading): Promise<void> =>
      run('read images', `${records} records`, 'images', async (steps) => {
        await steps.step('read records', () => done, undefined, {
          waitingOn: () => `${remaining()} image records`,
          timeoutMs: RECOVERY_LIMIT_MS,
        });
      }),
    pod(pod: Pod): Promise<void>[] {
      if (pod.halfMade) {
        undo(pod);
        return [];
      }
      const canWait = pod.state.phase === 'not-ready' && pod.state.released && !mayHaveTask(pod.id);
      return recoverOne('pod sandbox', `pod:${pod.id}`, pod.id, canWait, async (steps) => {
        const phase = await recoverPod(deps.pods, steps, pod, beside.closing);
        // crid was killed after the pod was recorded as complete and before its pause process was started. Or, in a
        // shared namespace, another server makes the pod now.
        if (phase !== 'created' || deps.shared) return;
        const halfMade: Pod = { ...(deps.pods.state.pods.byId(pod.id) ?? pod), halfMade: true, undoing: true };
        deps.pods.state.pods.put(halfMade);
        undo(halfMade);
      });
    },
    container(container: Container): Promise<void>[] {
      const { id, state } = container;
      const ended = hasEnded(container);
      if (ended && !mayHaveTask(id) && !hasCheckpoint(deps.containers, id)) return [];
      const canWait = ended || (state.phase === 'created' && !mayHaveTask(id));
      return recoverOne('container', `container:${id}`, id, canWait, (steps) =>
        recoverContainer(deps, steps, container, beside),
      );
    },
    releasePulls({ pullLeases }: Leftovers): void {
      if (pullLeases.length === 0) return;
      start('release pulls', `${pullLeases.length} leases`, 'release-pulls', async (steps) => {
        await beside.served;
        await steps.step('delete leases', () => releasePullLeases(deps.containers, pullLeases));
      });
    },
    sweep(leftovers: Leftovers, recordIds: ReadonlySet<string>): void {
      start('sweep leftovers', containerd.namespace, 'sweep', async (steps) => {
        await beside.served;
        await sweep(deps.containers, steps, leftovers, { recordIds, closing: beside.closing, onSwept: deps.onSwept });
      });
    },
  };
}
