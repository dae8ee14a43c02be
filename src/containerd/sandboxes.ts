import { StoreDefinition } from '../../generated/containerd/services/sandbox/v1/sandbox.js';
import type { Sandbox } from '../../generated/containerd/types/sandbox.js';
import { wireAny, wireAnys } from './any.js';
import { withOptions, type ClientOf } from './connection.js';
import type { SandboxRecord, SandboxStore } from './containerd.js';
import { checkFields, present, unlessGone } from './answers.js';
import { checkRecordSize } from './record-size.js';
import { timestampNs } from './wire-time.js';

export function createSandboxStore(clientOf: ClientOf): SandboxStore {
  const client = clientOf(StoreDefinition);
  return {
    get: async (id, options) =>
      recordOf((await client.get({ sandbox_id: id }, withOptions(options))).sandbox, 'sandboxes.get'),

    list: async (filters, options) => {
      const { list } = await client.list({ filters: [...filters] }, withOptions(options));
      return list.map((sandbox) => recordOf(sandbox, 'sandboxes.list'));
    },

    create: async (record, options) => {
      checkRecordSize('pod sandbox', record);
      const request = { sandbox: wireSandbox(record) };
      return recordOf((await client.create(request, withOptions(options))).sandbox, 'sandboxes.create');
    },

    update: async (record, fields, options) => {
      checkFields('sandboxes.update', fields, record.extensions);
      const request = { sandbox: wireSandbox(record), fields: [...fields] };
      return recordOf((await client.update(request, withOptions(options))).sandbox, 'sandboxes.update');
    },

    delete: async (id, options) => void (await unlessGone(client.delete({ sandbox_id: id }, withOptions(options)))),
  };
}

export const wireSandbox = (record: SandboxRecord) => ({
  sandbox_id: record.id,
  runtime: { name: record.runtime.name, options: wireAny(record.runtime.options) },
  spec: wireAny(record.spec),
  labels: record.labels,
  extensions: wireAnys(record.extensions),
  sandboxer: record.sandboxer,
});

function recordOf(answer: Sandbox | undefined, method: string): SandboxRecord {
  const sandbox = present(answer, method);
  return {
    id: sandbox.sandbox_id,
    runtime: { name: sandbox.runtime?.name ?? '', options: sandbox.runtime?.options },
    spec: sandbox.spec,
    labels: sandbox.labels,
    extensions: sandbox.extensions,
    sandboxer: sandbox.sandboxer,
    createdAtNs: timestampNs(sandbox.created_at),
  };
}
