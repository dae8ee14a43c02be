import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Options as RuncOptions } from '../../../../generated/containerd/types/runc/options/oci.js';
import { SELinuxOption } from '../../../../generated/runtime/v1/api.js';
import { CriError } from '../../../../src/base/errors.js';
import { runtimeOptions } from '../../../../src/containerd/runtime-options.js';
import { taskOptions } from '../../../../src/containerd/task-options.js';
import { relabelTree } from '../../../../src/host/security/host-selinux.js';
import {
  appArmorProfileName,
  defaultAppArmorProfile,
  loadedAppArmorProfiles,
} from '../../../../src/spec/security/apparmor-profile.js';
import {
  freeLevel,
  levelOf,
  parseSelinuxContexts,
  selinuxLabels,
} from '../../../../src/spec/security/selinux-labels.js';
import { shownResources, withResources } from '../../../../src/spec/resources.js';
import { hostIds, remapLabels } from '../../../../src/spec/user/user-namespace.js';

const CONTEXTS =
  'process = "system_u:system_r:container_t:s0"\ncontent = "x"\nfile = "system_u:object_r:container_file_t:s0"\n';

test('SELinux: labels of the policy, of the request, of the pod; a level of its own if none is given', () => {
  const contexts = parseSelinuxContexts(CONTEXTS)!;
  const labels = (options: Partial<SELinuxOption> | undefined, parent = ''): unknown =>
    selinuxLabels({
      contexts,
      options: options && SELinuxOption.fromPartial(options),
      parent,
      freeLevel: () => 's0:c1,c2',
    });
  assert.deepEqual(
    [
      labels(undefined),
      labels({ user: 'user_u', role: 'user_r', type: 'user_t', level: 's0:c5,c6' }),
      labels({ type: 'spc_t' }, 'system_u:system_r:container_t:s0:c8,c9'),
      labels(undefined, 'system_u:system_r:container_t:s0:c8,c9'),
      parseSelinuxContexts('process = "a:b:c:d"'),
      levelOf('a:b:c:s0:c1,c2'),
    ],
    [
      {
        processLabel: 'system_u:system_r:container_t:s0:c1,c2',
        mountLabel: 'system_u:object_r:container_file_t:s0:c1,c2',
      },
      { processLabel: 'user_u:user_r:user_t:s0:c5,c6', mountLabel: 'user_u:object_r:container_file_t:s0:c5,c6' },
      { processLabel: 'system_u:system_r:spc_t:s0:c1,c2', mountLabel: 'system_u:object_r:container_file_t:s0:c1,c2' },
      {
        processLabel: 'system_u:system_r:container_t:s0:c8,c9',
        mountLabel: 'system_u:object_r:container_file_t:s0:c8,c9',
      },
      undefined,
      's0:c1,c2',
    ],
  );
});

test('SELinux: an unused level; an error if none is left', () => {
  const numbers = [0.1, 0.1, 0.1, 0.2, 0.3, 0.2];
  const random = (): number => numbers.shift() ?? 0;
  assert.equal(freeLevel(new Set(['s0:c1,c2']), 10, random), 's0:c2,c3');
  assert.throws(() => freeLevel(new Set(), 10, () => 0.5), CriError);
});

test("CVE-2021-43816: the host's own directories are never relabelled", async () => {
  for (const path of ['/', '/etc', '/usr', '/var/lib', '/proc']) {
    await assert.rejects(relabelTree(path, 'a:b:c:d', 'config.mounts[0].selinux_relabel'), {
      code: 'INVALID_ARGUMENT',
      message: `config.mounts[0].selinux_relabel: "${path}" is not relabelled: it is a directory of the host`,
    });
  }
});

test('AppArmor: the profile by what the host has, names of loaded ones, and of a process’s own', () => {
  const profile = (...includes: string[]): string[] =>
    defaultAppArmorProfile({ name: 'p', signallers: ['runc', 'unconfined'], includes: new Set(includes) }).split('\n');
  const bare = profile();
  assert.deepEqual(
    [
      bare.slice(0, 2),
      bare.filter((line) => line.includes('signal')),
      bare.filter((line) => line.includes('deny mount')),
      profile('abi/3.0', 'tunables/global', 'abstractions/base').filter((line) => /include|<abi/.test(line)),
      [...loadedAppArmorProfiles('a (enforce)\nwith space (complain)\nbroken\n')],
      [appArmorProfileName('x (enforce)\n'), appArmorProfileName('')],
    ],
    [
      ['@{PROC}=/proc/', 'profile p flags=(attach_disconnected,mediate_deleted) {'],
      ['  signal (receive) peer=unconfined,', '  signal (receive) peer=runc,', '  signal (send, receive) peer=p,'],
      ['  deny mount,'],
      ['abi <abi/3.0>,', 'include <tunables/global>', '  include <abstractions/base>'],
      ['a', 'with space'],
      ['x', 'unconfined'],
    ],
  );
});

test('user namespaces: labels of snapshots, ids of the host', () => {
  const map = [{ containerID: 0, hostID: 1000, size: 10 }];
  const both = { uids: map, gids: map };
  assert.deepEqual(
    [remapLabels(undefined), remapLabels(both), hostIds(both, { uid: 3, gid: 0 }), hostIds(both, { uid: 10, gid: 0 })],
    [
      {},
      { 'containerd.io/snapshot/uidmapping': '0:1000:10', 'containerd.io/snapshot/gidmapping': '0:1000:10' },
      { uid: 1003, gid: 1000 },
      undefined,
    ],
  );
});

test("a task's options keep those of its runtime; only runc accepts more", () => {
  const options = runtimeOptions('io.containerd.runc.v2', { BinaryName: '/bin/runc', SystemdCgroup: true });
  const runc = { name: 'io.containerd.runc.v2', options };
  const made = taskOptions(runc, { ioOwner: { uid: 7, gid: 8 }, endpoint: { address: 'ttrpc+unix:///x', version: 3 } });
  const { binary_name, systemd_cgroup, io_uid, io_gid, task_api_address, task_api_version } = RuncOptions.decode(
    made!.value,
  );
  assert.deepEqual(
    [binary_name, systemd_cgroup, io_uid, io_gid, task_api_address, task_api_version],
    ['/bin/runc', true, 7, 8, 'ttrpc+unix:///x', 3],
  );
  assert.deepEqual(
    [taskOptions(runc, {}), taskOptions({ name: 'io.containerd.kata.v2' }, { ioOwner: { uid: 7, gid: 8 } })],
    [undefined, undefined],
  );
});

test('resources are shown as the spec has them', () => {
  const host = { cgroupVersion: 1, swapController: true, hugetlbController: false } as const;
  const made = withResources(
    { cpu: { shares: 5n } },
    { ...shownResources({}, undefined), cpu_quota: 7n, memory_limit_in_bytes: 9n },
    host,
    { disableHugetlbController: false, tolerateMissingHugetlbController: true },
  );
  assert.deepEqual(shownResources(made, -3), {
    cpu_period: 0n,
    cpu_quota: 7n,
    cpu_shares: 5n,
    cpuset_cpus: '',
    cpuset_mems: '',
    memory_limit_in_bytes: 9n,
    memory_swap_limit_in_bytes: 9n,
    hugepage_limits: [],
    unified: {},
    oom_score_adj: -3n,
  });
});
