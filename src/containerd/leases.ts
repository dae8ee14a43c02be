import { LeasesDefinition, type Lease as WireLease } from '../../generated/containerd/services/leases/v1/leases.js';
import { withOptions, type ClientOf } from './connection.js';
import type { Lease, Leases } from './containerd.js';
import { present, unlessGone } from './answers.js';
import { timestampMs } from './wire-time.js';

export function createLeases(clientOf: ClientOf): Leases {
  const client = clientOf(LeasesDefinition);
  return {
    create: async (id, labels, options) =>
      leaseOf(present((await client.create({ id, labels }, withOptions(options))).lease, 'leases.create')),

    delete: async (id, options) =>
      void (await unlessGone(client.delete({ id, sync: options?.sync ?? false }, withOptions(options)))),

    list: async (filters, options) =>
      (await client.list({ filters: [...filters] }, withOptions(options))).leases.map(leaseOf),

    resources: async (id, options) =>
      (await client.listResources({ id }, withOptions(options))).resources.map((resource) => ({
        id: resource.id,
        type: resource.type,
      })),

    addResource: async (id, resource, options) => {
      await client.addResource({ id, resource }, withOptions(options));
    },
  };
}

const leaseOf = ({ id, created_at, labels }: WireLease): Lease => ({
  id,
  createdAtMs: timestampMs(created_at),
  labels,
});
