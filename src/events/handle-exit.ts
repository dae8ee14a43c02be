import { logOf, type Logger } from '../base/log.js';
import { nowNs } from '../host/syscall/clock.js';
import type { Containerd, Exit } from '../containerd/containerd.js';
import { oomKillCount } from '../host/cgroup/cgroups.js';
import { endOf, transition, type Container, type Pod } from '../state/records.js';
import { putBackRecord } from '../state/lost-record.js';
import { recordFact } from '../state/record-fact.js';
import type { State } from '../state/state.js';
import type { Stdio } from '../stdio/stdio.js';
import type { TaskLogKey } from './exit-tries.js';
import { createOomKills, SIGKILL_EXIT_CODE, type OomKills } from './oom-kills.js';

export interface ExitDeps {
  readonly log: Logger;
  readonly containerd: Pick<Containerd, 'tasks' | 'containers'>;
  readonly state: State;
  readonly stdio: Pick<Stdio, 'of' | 'end'>;
}

/**
 * Time for the last output of a process to reach the log before its exit is published; the drain goes on after that.
 */
const DRAIN_MS = 1_000;
const START_RECORDED_MS = 5_000;

/** Turns exits and OOM events into states. */
export interface ExitHandler {
  /**
   * Publishes an exit, then records it, and deletes the task, from which a restart would read the exit, only when the
   * exit would be read from a record too. A retry after a failure goes on from there.
   */
  onExit(id: string, exit: Exit | undefined): Promise<void>;
  onOom(id: string): Promise<void>;
  /** Returns the id of a task as the log names it. */
  logKey(id: string): TaskLogKey;
  /** Deletes the task of a container that has exited, and its streams. Succeeds when they are gone. */
  takeTask(id: string): Promise<void>;
}

export function createExitHandler(deps: ExitDeps): ExitHandler {
  const oomKills = createOomKills(deps.state.containers, oomKillCount);

  return {
    async onExit(id, exit) {
      const container = deps.state.containers.byId(id);
      if (container) return containerExited(deps, container, exit, oomKills);
      const pod = deps.state.pods.byId(id);
      if (pod) sandboxExited(deps, pod);
    },
    async onOom(id) {
      if (!deps.state.containers.byId(id)) return;
      oomKills.note(id);
      await recordFact(deps, id, (container) =>
        container.state.phase === 'exited' && container.state.exitCode === SIGKILL_EXIT_CODE
          ? withState(
              container,
              transition(container.state, { kind: 'exited', atNs: 0n, exitCode: SIGKILL_EXIT_CODE, oomKilled: true }),
            )
          : container,
      );
    },
    logKey: (id) => (deps.state.pods.byId(id) ? { pod: id } : { container: id }),
    takeTask: (id) => takeTask(deps, id),
  };
}

async function containerExited(
  deps: ExitDeps,
  { id, state }: Container,
  exit: Exit | undefined,
  oomKills: OomKills,
): Promise<void> {
  if (state.phase !== 'exited') await publishExit(deps, id, exit, oomKills);
  await deps.state.persistContainer(id, () => takeTask(deps, id));
}

async function publishExit(
  deps: Pick<ExitDeps, 'log' | 'state' | 'stdio'>,
  id: string,
  exit: Exit | undefined,
  oomKills: OomKills,
): Promise<void> {
  // An exit can be reported before the start has been recorded.
  const container = await deps.state.containers
    .until(id, ({ state }) => state.phase !== 'created', AbortSignal.timeout(START_RECORDED_MS))
    .catch(() => deps.state.containers.byId(id));
  if (!container) return;
  const [oomKilled] = await Promise.all([
    exit && exit.exitStatus !== 0 ? oomKills.wereTheEndOf(container, exit.exitStatus) : false,
    deps.stdio.of(id)?.drained(DRAIN_MS),
  ]);
  // The container may have been removed meanwhile.
  if (!deps.state.containers.byId(id)) return;
  const published = deps.state.publishContainer(id, (current) =>
    withState(current, transition(current.state, endOf(exit, nowNs(), oomKilled))),
  );
  logOf(deps.log).info({ container: id, state: published.state }, 'container exited');
}

async function takeTask(deps: Pick<ExitDeps, 'containerd' | 'state' | 'stdio'>, id: string): Promise<void> {
  const { containerd, state } = deps;
  const exit = await containerd.tasks.delete(id);
  // After another client has removed the record, containerd does not find the task, which keeps the pod's shim alive.
  if (!exit && (await putBackRecord({ containerd, state }, id))) {
    await containerd.tasks.delete(id);
    await containerd.containers.delete(id);
  }
  await deps.stdio.end(id);
}

/**
 * Marks the pod as not ready. The task stays until the pod is stopped: deleting it would end the shim, in which
 * containers of the pod may still run.
 */
function sandboxExited(deps: Pick<ExitDeps, 'log' | 'state'>, pod: Pod): void {
  const current = deps.state.pods.byId(pod.id);
  if (current?.state.phase !== 'ready') return;
  logOf(deps.log).warn({ pod: pod.id }, 'sandbox exited');
  deps.state.pods.put({ ...current, state: { phase: 'not-ready', released: false, failedDetaches: 0 } });
}

const withState = (container: Container, state: Container['state']): Container =>
  state === container.state ? container : { ...container, state };
