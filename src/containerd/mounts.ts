import { MountsDefinition } from '../../generated/containerd/services/mounts/v1/mounts.js';
import type { ActivationInfo } from '../../generated/containerd/types/mount.js';
import { present, unlessGone } from './answers.js';
import { withOptions, type ClientOf } from './connection.js';
import type { Activation, Mounts } from './containerd.js';
import { wireMount } from './tasks.js';

export function createMounts(clientOf: ClientOf): Mounts {
  const client = clientOf(MountsDefinition);
  return {
    activate: async ({ name, mounts, labels, temporary }, options) => {
      const request = { name, mounts: mounts.map(wireMount), labels, temporary };
      return activationOf(present((await client.activate(request, withOptions(options))).info, 'mounts.activate'));
    },

    deactivate: async (name, options) => void (await unlessGone(client.deactivate({ name }, withOptions(options)))),

    list: async (options) => {
      const all: Activation[] = [];
      for await (const { info } of client.list({ filters: [] }, withOptions(options))) {
        all.push(activationOf(present(info, 'mounts.list')));
      }
      return all;
    },
  };
}

const activationOf = ({ name, active, system }: ActivationInfo): Activation => ({
  name,
  mountPoints: active.map(({ mount_point }) => mount_point),
  system,
});
