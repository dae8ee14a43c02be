import { Kind, SnapshotsDefinition, type Info } from '../../generated/containerd/services/snapshots/v1/snapshots.js';
import { withOptions, type ClientOf } from './connection.js';
import type { Snapshots } from './containerd.js';
import { present, unlessGone } from './answers.js';

export function createSnapshots(clientOf: ClientOf): (snapshotter: string) => Snapshots {
  const client = clientOf(SnapshotsDefinition);
  return (snapshotter) => ({
    prepare: async (key, parent, labels = {}, options) =>
      (await client.prepare({ snapshotter, key, parent, labels }, withOptions(options))).mounts,

    view: async (key, parent, labels = {}, options) =>
      (await client.view({ snapshotter, key, parent, labels }, withOptions(options))).mounts,

    mounts: async (key, options) => (await client.mounts({ snapshotter, key }, withOptions(options))).mounts,

    stat: async (key, options) =>
      infoOf(present((await client.stat({ snapshotter, key }, withOptions(options))).info, 'snapshots.stat')),

    list: async (filters, options) => {
      const all = [];
      for await (const { info } of client.list({ snapshotter, filters: [...filters] }, withOptions(options))) {
        all.push(...info.map(infoOf));
      }
      return all;
    },

    commit: async (name, key, labels = {}, options) =>
      void (await client.commit({ snapshotter, name, key, labels }, withOptions(options))),

    remove: async (key, options) => void (await unlessGone(client.remove({ snapshotter, key }, withOptions(options)))),

    usage: async (key, options) => {
      const { size, inodes } = await client.usage({ snapshotter, key }, withOptions(options));
      return { bytes: size, inodes };
    },
  });
}

type SnapshotKind = 'view' | 'active' | 'committed' | 'unknown';

const kinds: Readonly<Partial<Record<Kind, SnapshotKind>>> = {
  [Kind.VIEW]: 'view',
  [Kind.ACTIVE]: 'active',
  [Kind.COMMITTED]: 'committed',
};

const infoOf = ({ name, parent, kind, labels }: Info) => ({ name, parent, kind: kinds[kind] ?? 'unknown', labels });
