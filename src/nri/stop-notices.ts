import { inBackground } from '../base/background.js';
import type { Container } from '../state/records.js';
import type { State } from '../state/state.js';
import { mergeStops } from './adjust/merge-updates.js';
import { applyToOthers, type OtherContainers } from './other-containers.js';
import { pluginName } from './port.js';
import { containerFor, logFailure, namespaceOf, NEVER, NO_LIMIT, type HookDeps } from './tell.js';

/** Tells plugins once of each container that has ended, whether an operation or the exit itself comes first. */
export interface StopNotices {
  /** Resolves when plugins have been told. Failures are logged. */
  tell(container: Container): Promise<void>;
  close(): void;
}

type Deps = HookDeps & { readonly state: Pick<State, 'pods' | 'containers'>; readonly others: OtherContainers };

export function createStopNotices(deps: Deps): StopNotices {
  const { plugins, told, state, log } = deps;
  const underWay = new Map<string, Promise<void>>();

  const tell = async (container: Container): Promise<void> => {
    const { id, podId } = container;
    if (!told.stop(id)) return underWay.get(id);
    if (!plugins.wants('StopContainer')) return;
    const telling = tellNow(deps, container)
      .catch(logFailure(deps, 'StopContainer', podId))
      .finally(() => {
        // The container may have been started and stopped again meanwhile.
        if (underWay.get(id) === telling) underWay.delete(id);
      });
    underWay.set(id, telling);
    await telling;
  };
  const close = state.containers.onChange((before, after) => {
    if (after?.state.phase === 'exited' && before !== undefined && before.state.phase !== 'exited')
      inBackground(log, 'telling NRI plugins of an exit', tell(after));
  });
  return { tell, close };
}

async function tellNow(deps: Deps, container: Container): Promise<void> {
  const message = await containerFor(deps, container, NEVER);
  const answers: Parameters<typeof mergeStops>[0][number][] = [];
  await deps.plugins.ask('StopContainer', {
    podId: container.podId,
    namespace: namespaceOf(deps.state.pods.byId(container.podId)),
    request: () => message,
    take: (response, plugin) => void answers.push({ plugin: pluginName(plugin), response }),
    time: NO_LIMIT,
  });
  await applyToOthers(deps, mergeStops(answers), []);
}
