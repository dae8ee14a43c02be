import type { State } from '../state/state.js';
import { createContainerHooks, type ContainerHooks } from './container-hooks.js';
import type { OtherContainers } from './other-containers.js';
import { createPodHooks, type PodHooks } from './pod-hooks.js';
import { createStopNotices } from './stop-notices.js';
import type { HookDeps } from './tell.js';
import { createTold } from './told.js';

export interface NriHooks {
  readonly pods: PodHooks;
  readonly containers: ContainerHooks;
  close(): void;
}

/** Creates the hooks of NRI. Call it before the state is rebuilt, so that they see the pods that a start finds. */
export function createNriHooks(
  deps: Omit<HookDeps, 'told'> & { readonly state: State; readonly others: OtherContainers },
): NriHooks {
  const { plugins, state } = deps;
  const told = createTold(state);
  const stops = createStopNotices({ ...deps, told });
  const settle = (before: { id: string } | undefined, after: { id: string } | undefined): void => {
    if (!before && after) plugins.settled(after.id);
  };
  const closes = [told.close, stops.close, state.pods.onChange(settle), state.containers.onChange(settle)];
  return {
    pods: createPodHooks({ ...deps, told }),
    containers: createContainerHooks({ ...deps, told, stops }),
    close() {
      for (const close of closes) close();
    },
  };
}
