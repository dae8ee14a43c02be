import { liveView } from '../base/live-view.js';
import type { Config } from '../config/schema.js';
import type { Network } from '../network/network.js';
import type { Handlers } from '../sandboxer/handler.js';
import type { HandlerFeatures } from './features.js';

/** The configuration in force and what was made of it. A reload replaces it as a whole. */
export interface InForce {
  readonly config: Config;
  readonly features: ReadonlyMap<string, HandlerFeatures>;
  readonly handlers: Handlers;
  /** The network of the default handler. */
  readonly network: Network;
  readonly networks: readonly Network[];
}

/** The one holder of what is in force. */
export interface Settings {
  /** Each read of a section returns the section that is in force. */
  readonly config: Config;
  /** Handlers and networks exist once containerd has answered: INTERNAL before. */
  readonly handlers: Handlers;
  now(): InForce;
  replace(next: InForce): void;
}

export function createSettings(config: Config): Settings {
  let inForce: InForce | undefined;
  const now = (): InForce => {
    if (!inForce) throw new Error('the runtime handlers have not been created');
    return inForce;
  };
  return {
    config: liveView(Object.keys(config) as (keyof Config)[], () => inForce?.config ?? config),
    handlers: {
      get: (name) => now().handlers.get(name),
      forPod: (name, pod) => now().handlers.forPod(name, pod),
      of: (pod) => now().handlers.of(pod),
    },
    now,
    replace(next) {
      inForce = next;
    },
  };
}
