import { ContainersDefinition, type Container } from '../../generated/containerd/services/containers/v1/containers.js';
import { wireAny, wireAnys } from './any.js';
import { withOptions, type ClientOf } from './connection.js';
import type { ContainerRecord, Containers } from './containerd.js';
import { checkFields, present, unlessGone } from './answers.js';
import { checkRecordSize } from './record-size.js';
import { timestampNs } from './wire-time.js';

export function createContainers(clientOf: ClientOf): Containers {
  const client = clientOf(ContainersDefinition);
  return {
    get: async (id, options) => recordOf((await client.get({ id }, withOptions(options))).container, 'containers.get'),

    list: async (filters, options) => {
      const records: ContainerRecord[] = [];
      // The unary List fails above 16 MiB, which about 2,000 specs reach.
      for await (const { container } of client.listStream({ filters: [...filters] }, withOptions(options))) {
        records.push(recordOf(container, 'containers.list'));
      }
      return records;
    },

    create: async (record, options) => {
      checkRecordSize('container', record);
      const request = { container: wireOf(record) };
      return recordOf((await client.create(request, withOptions(options))).container, 'containers.create');
    },

    update: async (record, fields, options) => {
      checkFields('containers.update', fields, record.extensions);
      const request = { container: wireOf(record), update_mask: [...fields] };
      return recordOf((await client.update(request, withOptions(options))).container, 'containers.update');
    },

    delete: async (id, options) => void (await unlessGone(client.delete({ id }, withOptions(options)))),
  };
}

const wireOf = (record: Partial<ContainerRecord> & { id: string }) => ({
  id: record.id,
  labels: record.labels ?? {},
  image: record.image ?? '',
  runtime: record.runtime && { name: record.runtime.name, options: wireAny(record.runtime.options) },
  spec: wireAny(record.spec),
  snapshotter: record.snapshotter ?? '',
  snapshot_key: record.snapshotKey ?? '',
  extensions: wireAnys(record.extensions ?? {}),
  sandbox: record.sandbox ?? '',
});

function recordOf(answer: Container | undefined, method: string): ContainerRecord {
  const container = present(answer, method);
  return {
    id: container.id,
    labels: container.labels,
    image: container.image,
    runtime: { name: container.runtime?.name ?? '', options: container.runtime?.options },
    spec: container.spec,
    snapshotter: container.snapshotter,
    snapshotKey: container.snapshot_key,
    createdAtNs: timestampNs(container.created_at),
    extensions: container.extensions,
    sandbox: container.sandbox,
  };
}
