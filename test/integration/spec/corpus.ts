import {
  MountPropagation,
  NamespaceMode,
  SecurityProfile_ProfileType as Profile,
  SupplementalGroupsPolicy,
} from '../../../generated/runtime/v1/api.js';
import { cgroupParent } from '../../../tools/stack/cgroup-driver.js';
import { context, testImage, value, type ContainerPart, type PodPart } from './rules.js';

/** A pod with a container that two CRI servers create. */
export interface Sample {
  readonly name: string;
  readonly pod?: PodPart;
  readonly container?: ContainerPart;
}

const { POD, CONTAINER, NODE } = NamespaceMode;
const mapping = [{ host_id: 1_000_000, container_id: 0, length: 65_536 }];
const userns = { mode: POD, uids: mapping, gids: mapping };
const privileged: PodPart = { linux: { security_context: { privileged: true } } };
const resources = (more: NonNullable<NonNullable<ContainerPart['linux']>['resources']>): ContainerPart => ({
  linux: { resources: more },
});
const namespaces = (options: object): PodPart => ({ linux: { security_context: { namespace_options: options } } });

/** `folder` is a folder of the test, the same for both servers. */
export const CORPUS = (folder: string): readonly Sample[] => [
  { name: 'nothing asked for' },
  { name: 'command and arguments', container: { command: ['sh', '-c'], args: ['sleep 1000'] } },
  {
    name: 'environment, directory, terminal',
    container: {
      envs: [
        { key: 'A', value: Buffer.from('1') },
        { key: 'PATH', value: Buffer.from('/bin') },
      ],
      working_dir: '/tmp',
      tty: true,
      stdin: true,
    },
  },
  { name: 'image: environment', container: { image: testImage('env') } },
  { name: 'image: user by name and group', container: { image: testImage('user-name-and-group') } },
  { name: 'image: working directory and stop signal', container: { image: testImage('working-dir') } },
  { name: 'image: volumes', container: { image: testImage('volumes') } },
  {
    name: 'user and group',
    container: context({ run_as_user: value(33), run_as_group: value(100), supplemental_groups: [5000n] }),
  },
  {
    name: 'user by name, groups merged',
    container: { image: testImage('groups'), ...context({ run_as_username: 'app', supplemental_groups: [4000n] }) },
  },
  {
    name: 'user by name, groups strict',
    container: {
      image: testImage('groups'),
      ...context({
        run_as_username: 'app',
        supplemental_groups: [4000n],
        supplemental_groups_policy: SupplementalGroupsPolicy.Strict,
      }),
    },
  },
  {
    name: 'user of the pod',
    pod: {
      linux: { security_context: { run_as_user: value(1000), run_as_group: value(1000), supplemental_groups: [7n] } },
    },
  },
  {
    name: 'capabilities added and dropped',
    container: context({
      capabilities: { add_capabilities: ['NET_ADMIN', 'SYS_PTRACE'], drop_capabilities: ['MKNOD'] },
    }),
  },
  { name: 'no capability', container: context({ capabilities: { drop_capabilities: ['ALL'] } }) },
  {
    name: 'no new privileges, read-only root, masked and read-only paths',
    container: context({
      no_new_privs: true,
      readonly_rootfs: true,
      masked_paths: ['/proc/kcore'],
      readonly_paths: ['/proc/sys'],
    }),
  },
  {
    name: 'seccomp: default',
    pod: { linux: { security_context: { seccomp: { profile_type: Profile.RuntimeDefault } } } },
    container: context({ seccomp: { profile_type: Profile.RuntimeDefault } }),
  },
  {
    name: 'seccomp: default with more capabilities',
    container: context({
      capabilities: { add_capabilities: ['SYS_ADMIN', 'NET_ADMIN', 'SYS_PTRACE'] },
      seccomp: { profile_type: Profile.RuntimeDefault },
    }),
  },
  { name: 'seccomp: unconfined', container: context({ seccomp: { profile_type: Profile.Unconfined } }) },
  { name: 'privileged', pod: privileged, container: context({ privileged: true }) },
  { name: 'privileged pod, unprivileged container', pod: privileged },
  { name: 'processes of its own', container: context({ namespace_options: { pid: CONTAINER } }) },
  {
    name: 'processes of the node',
    pod: namespaces({ pid: NODE }),
    container: context({ namespace_options: { pid: NODE } }),
  },
  {
    name: 'network of the node',
    pod: namespaces({ network: NODE }),
    container: context({ namespace_options: { network: NODE } }),
  },
  { name: 'IPC of the node', pod: namespaces({ ipc: NODE }), container: context({ namespace_options: { ipc: NODE } }) },
  {
    name: 'user namespace',
    pod: namespaces({ userns_options: userns }),
    container: context({ namespace_options: { userns_options: userns } }),
  },
  { name: 'sysctls', pod: { linux: { sysctls: { 'kernel.shm_rmid_forced': '1', 'net.ipv4.ip_forward': '1' } } } },
  {
    name: 'host name and DNS',
    pod: {
      hostname: 'of-the-pod',
      dns_config: { servers: ['10.9.8.7'], searches: ['a.example'], options: ['ndots:5'] },
    },
  },
  { name: 'cgroup parent', pod: { linux: { cgroup_parent: cgroupParent('crid-test-parity') } } },
  {
    name: 'limits',
    container: resources({
      memory_limit_in_bytes: 67_108_864n,
      cpu_shares: 300n,
      cpu_quota: 25_000n,
      cpu_period: 50_000n,
      cpuset_cpus: '0',
      cpuset_mems: '0',
      oom_score_adj: 321n,
    }),
  },
  { name: 'an OOM score that the server may not give', container: resources({ oom_score_adj: -998n }) },
  {
    name: 'resources of the pod',
    pod: {
      linux: { resources: { cpu_shares: 100n, memory_limit_in_bytes: 1_000_000n }, overhead: { cpu_shares: 5n } },
    },
  },
  {
    name: 'mounts: read-only, ordered, propagated',
    pod: privileged,
    container: {
      mounts: [
        { container_path: '/a/b', host_path: folder, readonly: true },
        { container_path: '/a', host_path: folder },
        { container_path: '/c', host_path: folder, propagation: MountPropagation.PROPAGATION_PRIVATE },
      ],
    },
  },
  {
    name: 'a mount that replaces the pod’s hosts',
    container: { mounts: [{ container_path: '/etc/hosts', host_path: '/etc/hosts' }] },
  },
  { name: 'a mount on /dev', container: { mounts: [{ container_path: '/dev', host_path: '/dev' }] } },
  {
    name: 'recursive read-only',
    container: { mounts: [{ container_path: '/a', host_path: folder, readonly: true, recursive_read_only: true }] },
  },
  {
    name: 'devices',
    container: {
      devices: [
        { host_path: '/dev/full', container_path: '/dev/mine', permissions: 'r' },
        { host_path: '/dev/loop0', container_path: '/dev/loop', permissions: 'rwm' },
      ],
    },
  },
  {
    name: 'annotations and labels',
    pod: { annotations: { 'a.example/b': 'c' }, labels: { a: 'b' } },
    container: { annotations: { 'a.example/b': 'd' }, labels: { c: 'd' } },
  },
];
