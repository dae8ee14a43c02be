import { logOf, type Logger } from '../base/log.js';
import { nowNs } from '../host/clock.js';
import type { Containerd, Exit } from '../containerd/containerd.js';
import { oomKillCount } from '../host/cgroups.js';
import { transition, type Container, type Pod } from '../state/records.js';
import { putBackRecord } from '../state/lost-record.js';
import { recordFact } from '../state/record-fact.js';
import type { State } from '../state/state.js';
import { endIo } from '../stdio/end-io.js';
import type { ContainerIo } from '../stdio/stdio.js';
import { createOomKills, SIGKILL_EXIT_CODE, type OomKills } from './oom-kills.js';

export interface ExitDeps {
  readonly log: Logger;
  readonly containerd: Pick<Containerd, 'tasks' | 'containers'>;
  readonly state: State;
  readonly ios: Map<string, ContainerIo>;
}

/** What a process wrote just before it ended gets this long to reach the log before the exit is published; then it goes on. */
const DRAIN_MS = 1_000;
const START_RECORDED_MS = 5_000;

/** Turns exits and OOMs, however noticed, into states. */
export interface ExitHandler {
  /**
   * Publishes an exit, then writes it down, and only then takes the task away, from which a restart would read it. A
   * repeat after a failure goes on from there.
   */
  onExit(id: string, exit: Exit | undefined): Promise<void>;
  onOom(id: string): Promise<void>;
  /** Takes away the task of a container that has exited, and its streams. Succeeds when they are gone. */
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
  await deps.state.persistContainer(id);
  await takeTask(deps, id);
}

async function publishExit(deps: ExitDeps, id: string, exit: Exit | undefined, oomKills: OomKills): Promise<void> {
  // An exit can be reported before the start has been written down.
  const container = await deps.state.containers
    .until(id, ({ state }) => state.phase !== 'created', AbortSignal.timeout(START_RECORDED_MS))
    .catch(() => deps.state.containers.byId(id));
  if (!container) return;
  const [oomKilled] = await Promise.all([
    exit && exit.exitStatus !== 0 ? oomKills.wereTheEndOf(container, exit.exitStatus) : false,
    deps.ios.get(id)?.drained(DRAIN_MS),
  ]);
  // It may have been removed meanwhile.
  if (!deps.state.containers.byId(id)) return;
  const published = deps.state.publishContainer(id, (current) =>
    withState(
      current,
      transition(
        current.state,
        exit
          ? { kind: 'exited', atNs: exit.exitedAtNs || nowNs(), exitCode: exit.exitStatus, oomKilled }
          : { kind: 'lost', atNs: nowNs() },
      ),
    ),
  );
  logOf(deps.log).info({ container: id, state: published.state }, 'container exited');
}

async function takeTask(deps: ExitDeps, id: string): Promise<void> {
  const { containerd, state } = deps;
  const exit = await containerd.tasks.delete(id);
  // The task is out of reach where another client has removed the record, and would keep the shim of the pod alive.
  if (!exit && (await putBackRecord({ containerd, state }, id))) {
    await containerd.tasks.delete(id);
    await containerd.containers.delete(id);
  }
  await endIo(deps.ios.get(id), deps.log);
  deps.ios.delete(id);
}

/** Its task stays until the pod is stopped: with it would go the shim, and containers of the pod may still run there. */
function sandboxExited(deps: ExitDeps, pod: Pod): void {
  const current = deps.state.pods.byId(pod.id);
  if (current?.state.phase !== 'ready') return;
  logOf(deps.log).warn({ pod: pod.id }, 'sandbox exited');
  deps.state.pods.put({ ...current, state: { phase: 'not-ready', released: false, failedDetaches: 0 } });
}

const withState = (container: Container, state: Container['state']): Container =>
  state === container.state ? container : { ...container, state };
