import type { LinuxResources } from '../../generated/nri/v1alpha1/api.js';
import type { Logger } from '../base/log.js';
import type { NriConfig } from '../config/schema.js';
import type { Containerd } from '../containerd/containerd.js';
import type { Caller } from '../operation/operation.js';
import type { State } from '../state/state.js';
import { createNriHooks, type NriHooks } from './create-hooks.js';
import { defaultValidator } from './default-validator.js';
import { knownSubjects } from './known.js';
import { startNri, type NriOptions, type NriService } from './nri-service.js';
import type { OtherContainers } from './other-containers.js';
import { createRegistry } from './registry.js';
import { createStoredSpecs } from './stored-specs.js';

/** A plugin's change of another container, for which an operation waits. */
const OTHERS_LIMIT_MS = 10_000;

/** The operations that change containers for plugins. */
interface Operations {
  update(id: string, resources: LinuxResources, caller: Caller): Promise<void>;
  evict(id: string, caller: Caller): Promise<void>;
}

export interface Nri extends Pick<NriHooks, 'pods' | 'containers'> {
  /** Launches plugins and listens for others, once the state has been rebuilt. */
  start(operations: Operations): Promise<void>;
  /** The names of the registered plugins, in the order in which they are asked. */
  registered(): string[];
  close(): Promise<void>;
}

/**
 * Creates the service of NRI and its hooks in the operations; undefined when NRI is off. Call it before the state is
 * rebuilt.
 */
export function createNri(options: {
  readonly config: NriConfig;
  readonly log: Logger;
  readonly containerd: Pick<Containerd, 'containers'>;
  readonly state: State;
  /** The version of crid. */
  readonly version: string;
  readonly onCall: NriOptions['onCall'];
  /** Whether crid launches the plugins of the plugin folder. */
  readonly launchesPlugins: boolean;
}): Nri | undefined {
  const { config } = options;
  if (!config.enabled || config.disable) return undefined;
  const registry = createRegistry({
    ...options,
    // Plugins that register are rare, so that nothing is kept for the next one.
    known: () => knownSubjects({ state: options.state, specs: createStoredSpecs(options.containerd) }),
  });
  let operations: Operations | undefined;
  let starting: Promise<NriService> | undefined;
  // No plugin is registered before the start, so none asks for a change.
  const others: OtherContainers = {
    update: async (id, resources) => operations?.update(id, resources, soon()),
    evict: async (id) => operations?.evict(id, soon()),
  };
  const hooks = createNriHooks({
    ...options,
    plugins: registry,
    specs: createStoredSpecs(options.containerd),
    others,
    validate: defaultValidator(config.default_validator),
  });
  return {
    pods: hooks.pods,
    containers: hooks.containers,
    async start(given) {
      operations = given;
      starting = startNri({ ...options, registry, others });
      await starting;
    },
    registered: () => registry.list().map(({ name }) => name),
    async close() {
      const service = await starting?.catch(() => undefined);
      await service?.close();
      hooks.close();
    },
  };
}

const soon = (): Caller => ({ deadlineMs: performance.now() + OTHERS_LIMIT_MS });
