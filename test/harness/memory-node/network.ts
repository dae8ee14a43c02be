import type { Network } from '../../../src/network/network.js';

export interface MemoryNetwork extends Network {
  /** The ids of the pods that have an address. */
  readonly attached: ReadonlySet<string>;
}

/** A network without plugins, which gives every pod the same address. It outlives a crid, as plugins' data does. */
export function createMemoryNetwork(): MemoryNetwork {
  const attached = new Set<string>();
  return {
    attached,
    async attach({ id, netnsPath }) {
      attached.add(id);
      const IPConfigs = [{ IP: '10.0.0.1', Gateway: '10.0.0.254' }];
      const eth0 = { IPConfigs, Mac: '', Sandbox: netnsPath };
      return { ips: ['10.0.0.1'], result: { Interfaces: { eth0 }, DNS: null, Routes: null } };
    },
    detach: async ({ id }) => void attached.delete(id),
    status: async () => ({ ready: true, message: '', lastLoadError: '', config: {} }),
    collectGarbage: async () => true,
    waitingOn: () => undefined,
    close: () => undefined,
  };
}
