import type { LinuxContainerResources } from '../../generated/runtime/v1/api.js';
import type { Steps } from '../operation/steps.js';
import type { Pod } from '../state/records.js';
import { criResources } from './adjust/resource-view.js';
import type { CallTime } from './port.js';
import {
  askStep,
  beginSubject,
  briefly,
  logFailure,
  namespaceOf,
  NEVER,
  NO_LIMIT,
  podFor,
  tellStep,
  type HookDeps,
} from './tell.js';

/** The hooks of NRI in the operations on pods. Without a plugin that wants a call, it is not even a step. */
export interface PodHooks {
  /** Whether `run` must come before the pod counts as complete. */
  wantsRun(): boolean;
  /**
   * Tells plugins of a pod that runs and has its network. A plugin's error fails the run; when the run fails later,
   * plugins are told that the pod is stopped and removed.
   */
  run(steps: Steps, pod: Pod, pid: number): Promise<void>;
  /** A plugin's error fails the update. */
  update(steps: Steps, pod: Pod, resources: PodResources): Promise<void>;
  /** Tells what has happened; failures are logged. */
  updated(steps: Steps, pod: Pod): Promise<void>;
  stopped(steps: Steps, pod: Pod): Promise<void>;
  removed(steps: Steps, pod: Pod): Promise<void>;
}

interface PodResources {
  readonly overhead: LinuxContainerResources | undefined;
  readonly resources: LinuxContainerResources | undefined;
}

type PodNotice = 'PostUpdatePodSandbox' | 'StopPodSandbox' | 'RemovePodSandbox';

export function createPodHooks(deps: HookDeps): PodHooks {
  const { plugins, told } = deps;

  const placeOf = (pod: Pod) => ({ podId: pod.id, namespace: namespaceOf(pod) });
  const tell = (steps: Steps, call: PodNotice, pod: Pod): Promise<void> =>
    tellStep(deps, steps, call, {
      ...placeOf(pod),
      request: async (signal) => ({ pod: await podFor(deps, pod, signal) }),
    });
  /** The message is made before plugins are asked: they may take longer than the pod has a record. */
  const undoRun = async (pod: Pod): Promise<void> => {
    const calls = (['StopPodSandbox', 'RemovePodSandbox'] as const).filter((call) => plugins.wants(call));
    if (calls.length === 0) return;
    const message = { pod: await podFor(deps, pod, NEVER) };
    const about = { ...placeOf(pod), request: () => message, time: NO_LIMIT };
    for (const call of calls) await plugins.ask(call, about).catch(logFailure(deps, call, pod.id));
  };

  return {
    wantsRun: () => plugins.wants('RunPodSandbox'),
    async run(steps, pod, pid) {
      beginSubject(deps, steps, { kind: 'pod', id: pod.id, message: (signal) => podFor(deps, pod, signal, pid) });
      const run = async (time: CallTime): Promise<void> => {
        const message = { pod: await podFor(deps, pod, time.signal, pid) };
        await plugins.ask('RunPodSandbox', { ...placeOf(pod), request: () => message, time });
      };
      await askStep(deps, steps, 'RunPodSandbox', pod.id, run, () => briefly(undoRun(pod)));
    },
    update: (steps, pod, { overhead, resources }) =>
      askStep(deps, steps, 'UpdatePodSandbox', pod.id, async (time) => {
        const request = {
          pod: await podFor(deps, pod, time.signal),
          overhead_linux_resources: criResources(overhead),
          linux_resources: criResources(resources),
        };
        await plugins.ask('UpdatePodSandbox', { ...placeOf(pod), request: () => request, time });
      }),
    updated: (steps, pod) => tell(steps, 'PostUpdatePodSandbox', pod),
    async stopped(steps, pod) {
      if (told.stop(pod.id)) await tell(steps, 'StopPodSandbox', pod);
    },
    async removed(steps, pod) {
      if (told.remove(pod.id)) await tell(steps, 'RemovePodSandbox', pod);
    },
  };
}
