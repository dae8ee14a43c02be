import { DiffDefinition } from '../../generated/containerd/services/diff/v1/diff.js';
import { withOptions, type ClientOf } from './connection.js';
import type { Diff } from './containerd.js';
import { present } from './answers.js';
import { wireMount } from './tasks.js';

/** A layer as a plain tar. crid reads it back at once, so compressing it would be wasted work. */
const LAYER = 'application/vnd.oci.image.layer.v1.tar';

export function createDiff(clientOf: ClientOf): Diff {
  const client = clientOf(DiffDefinition);
  return {
    apply: async ({ layer, mounts, syncFs = false }, options) => {
      const request = { diff: layer, mounts: mounts.map(wireMount), sync_fs: syncFs };
      const { applied } = await client.apply(request, withOptions(options));
      return present(applied, 'diff.apply').digest;
    },

    create: async ({ older, newer, ref }, options) => {
      const request = { left: older.map(wireMount), right: newer.map(wireMount), media_type: LAYER, ref };
      return present((await client.diff(request, withOptions(options))).diff, 'diff.create');
    },
  };
}
