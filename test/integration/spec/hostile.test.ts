import assert from 'node:assert/strict';
import { mkdtemp, readdir, symlink } from 'node:fs/promises';
import { join } from 'node:path';
import { test } from 'node:test';
import type { Signal } from '../../../generated/runtime/v1/api.js';
import {
  CgroupMountMode,
  MountPropagation,
  NamespaceMode,
  SecurityProfile_ProfileType as Profile,
} from '../../../generated/runtime/v1/api.js';
import { makeFifo } from '../../../src/host/pipe/fifo.js';
import { assertLeavesNothing, leaks } from '../../harness/leaks.js';
import { podConfig, pullImage } from '../../harness/pod.js';
import { tinyImage } from '../images/tiny-image.js';
import { REPOSITORY, startRegistry } from '../images/tiny-registry.js';
import { assertFails, startSuite } from '../rpc/suite.js';
import { context, inside, testImage, value, type ContainerPart, type PodPart } from './rules.js';

const suite = startSuite({ withPod: true });
const UNKNOWN_ENUM: number = 99;
const NUL = 'a\0b';
const bytes = (text: string): Buffer => Buffer.from(text);
const mount = (more: NonNullable<ContainerPart['mounts']>[number]): ContainerPart => ({
  mounts: [{ container_path: '/m', host_path: '/tmp', ...more }],
});
const ofPod = (security_context: NonNullable<PodPart['linux']>['security_context']): PodPart => ({
  linux: { security_context: security_context! },
});
const mapping = (host_id: number, container_id: number, length: number) => ({
  mode: NamespaceMode.POD,
  uids: [{ host_id, container_id, length }],
  gids: [{ host_id, container_id, length }],
});

/** Each bad request, with the field that the error must name. */
const containers: [name: string, config: ContainerPart, field: string][] = [
  ['a mount without a path', mount({ container_path: '' }), 'mounts[0].container_path'],
  ['a relative source', mount({ host_path: 'tmp' }), 'mounts[0].host_path'],
  ['an unknown propagation', mount({ propagation: UNKNOWN_ENUM }), 'mounts[0].propagation'],
  [
    'recursive read-only and shared',
    mount({ readonly: true, recursive_read_only: true, propagation: MountPropagation.PROPAGATION_BIDIRECTIONAL }),
    'mounts[0].recursive_read_only',
  ],
  ['recursive read-only and writable', mount({ recursive_read_only: true }), 'mounts[0].recursive_read_only'],
  [
    'a sub path that climbs',
    mount({ host_path: '', image: testImage('volumes'), readonly: true, image_sub_path: 'data/../../..' }),
    'image_sub_path',
  ],
  [
    'an absolute sub path',
    mount({ host_path: '', image: testImage('volumes'), readonly: true, image_sub_path: '/etc' }),
    'image_sub_path',
  ],
  [
    'a writable image',
    mount({ host_path: '', image: testImage('volumes') }),
    'config.mounts[0].readonly: must be true for a mount of an image',
  ],
  ['an unknown option of a mount', mount({ mount_options: ['noexec', 'suid'] }), 'mounts[0].mount_options[1]'],
  ['an option of a mount twice', mount({ mount_options: ['nodev', 'nodev'] }), 'mounts[0].mount_options[1]'],
  ['two options of a mount in one', mount({ mount_options: ['nodev,nosuid'] }), 'mounts[0].mount_options[0]'],
  [
    'options of an image',
    mount({ host_path: '', image: testImage('volumes'), readonly: true, mount_options: ['noexec'] }),
    'mounts[0].mount_options',
  ],
  ['an image and a source at once', mount({ image: testImage('volumes'), readonly: true }), 'mounts[0].host_path'],
  ['.. in the log path', { log_path: '../../escaped.log' }, 'log_path'],
  [
    'a relative device',
    { devices: [{ host_path: 'dev/null', container_path: '/dev/x', permissions: 'r' }] },
    'devices[0].host_path',
  ],
  [
    'odd permissions of a device',
    { devices: [{ host_path: '/dev/null', container_path: '/dev/x', permissions: 'rwx' }] },
    'devices[0].permissions',
  ],
  [
    'a file as a device',
    { devices: [{ host_path: '/etc/passwd', container_path: '/dev/x', permissions: 'r' }] },
    'devices[0].host_path',
  ],
  ['a NUL in the command', { command: ['sh', NUL] }, 'command'],
  ['a NUL in an argument', { args: [NUL] }, 'args'],
  ['a NUL in an environment value', { envs: [{ key: 'A', value: bytes(NUL) }] }, 'envs[0]'],
  ['a NUL in an environment name', { envs: [{ key: NUL, value: bytes('') }] }, 'envs[0]'],
  ['a line break in an environment name', { envs: [{ key: 'A\nB', value: bytes('') }] }, 'envs[0].key'],
  ['= in an environment name', { envs: [{ key: 'A=B', value: bytes('') }] }, 'envs[0].key'],
  ['a NUL in the working directory', { working_dir: `/${NUL}` }, 'working_dir'],
  ['a NUL in a label', { labels: { a: NUL } }, 'labels'],
  ['a reserved label', { labels: { 'containerd.io/gc.root': 'x' } }, 'labels'],
  ['a label that is too long', { labels: { a: 'x'.repeat(5000) } }, 'labels'],
  ['uid 4294967295', context({ run_as_user: value(4_294_967_295) }), 'run_as_user'],
  ['uid 4294967296, which wraps to root', context({ run_as_user: value(2 ** 32) }), 'run_as_user'],
  ['uid -1', context({ run_as_user: value(-1) }), 'run_as_user'],
  ['gid 4294967295', context({ run_as_user: value(1), run_as_group: value(4_294_967_295) }), 'run_as_group'],
  ['a gid without a user', context({ run_as_group: value(1) }), 'run_as_group'],
  ['a supplemental group of 4294967295', context({ supplemental_groups: [4_294_967_295n] }), 'supplemental_groups[0]'],
  ['an unknown policy of groups', context({ supplemental_groups_policy: UNKNOWN_ENUM }), 'supplemental_groups_policy'],
  [
    'the cgroup namespace of the pod',
    context({ namespace_options: { cgroupns_options: { mode: NamespaceMode.POD } } }),
    'namespace_options.cgroupns_options.mode: expected CONTAINER or NODE',
  ],
  [
    'the cgroup namespace of a target',
    context({ namespace_options: { cgroupns_options: { mode: NamespaceMode.TARGET } } }),
    'namespace_options.cgroupns_options.mode: expected CONTAINER or NODE',
  ],
  [
    'an unknown cgroup namespace',
    context({ namespace_options: { cgroupns_options: { mode: UNKNOWN_ENUM as NamespaceMode } } }),
    'namespace_options.cgroupns_options.mode: unknown value',
  ],
  [
    'an unknown mode of the cgroup mount',
    context({ cgroup_mount_mode: UNKNOWN_ENUM }),
    'security_context.cgroup_mount_mode: unknown value',
  ],
  [
    'read-only cgroups of a privileged container',
    context({ privileged: true, cgroup_mount_mode: CgroupMountMode.CGROUP_MOUNT_MODE_READ_ONLY }),
    'security_context.cgroup_mount_mode: READ_ONLY',
  ],
  [
    'writable cgroups of the node',
    context({
      cgroup_mount_mode: CgroupMountMode.CGROUP_MOUNT_MODE_READ_WRITE,
      namespace_options: { cgroupns_options: { mode: NamespaceMode.NODE } },
    }),
    'security_context.cgroup_mount_mode: READ_WRITE',
  ],
  ['a user’s name with a colon', context({ run_as_username: 'a:0:0' }), 'run_as_username'],
  ['a user’s name with a line break', context({ run_as_username: 'a\nroot' }), 'run_as_username'],
  [
    'an unknown pid mode',
    context({ namespace_options: { pid: UNKNOWN_ENUM as NamespaceMode } }),
    'namespace_options.pid',
  ],
  [
    'an unknown network mode',
    context({ namespace_options: { network: UNKNOWN_ENUM as NamespaceMode } }),
    'namespace_options.network',
  ],
  ['TARGET without a target', context({ namespace_options: { pid: NamespaceMode.TARGET } }), 'target_id'],
  [
    'an unknown seccomp profile',
    context({ seccomp: { profile_type: UNKNOWN_ENUM as Profile } }),
    'seccomp.profile_type',
  ],
  [
    'a seccomp file that is not there',
    context({ seccomp: { profile_type: Profile.Localhost, localhost_ref: '/no/such/file' } }),
    'seccomp.localhost_ref',
  ],
  [
    'a relative seccomp file',
    context({ seccomp: { profile_type: Profile.Localhost, localhost_ref: 'profile.json' } }),
    'seccomp.localhost_ref',
  ],
  [
    'a device as a seccomp file',
    context({ seccomp: { profile_type: Profile.Localhost, localhost_ref: '/dev/zero' } }),
    'seccomp.localhost_ref',
  ],
  ['a masked path that is relative', context({ masked_paths: ['proc/kcore'] }), 'masked_paths[0]'],
  ['privileged in a pod that is not', context({ privileged: true }), 'privileged'],
  ['an SELinux type with a colon', context({ selinux_options: { type: 'a:b' } }), 'selinux_options.type'],
  ['an unknown stop signal', { stop_signal: 9999 as Signal }, 'stop_signal'],
  ['a CPU list that is none', { linux: { resources: { cpuset_cpus: '0-1;x' } } }, 'cpuset_cpus'],
  ['an OOM score out of range', { linux: { resources: { oom_score_adj: 1001n } } }, 'oom_score_adj'],
  [
    'a page size that climbs',
    { linux: { resources: { hugepage_limits: [{ page_size: '../2MB', limit: 1n }] } } },
    'hugepage_limits[0].page_size',
  ],
  ['a cgroup file that climbs', { linux: { resources: { unified: { '../cgroup.procs': '1' } } } }, 'unified'],
  [
    'a device name of CDI that is not qualified',
    { CDI_devices: [{ name: '../../etc/passwd' }] },
    'CDI_devices[0].name',
  ],
  ['Windows', { windows: {} }, 'windows'],
];

const pods: [name: string, config: PodPart, field: string][] = [
  ['a sysctl of the node', { linux: { sysctls: { 'kernel.core_pattern': '|/bin/sh' } } }, 'sysctls'],
  ['a sysctl by another spelling', { linux: { sysctls: { 'net/../kernel/core_pattern': 'x' } } }, 'sysctls'],
  [
    'a sysctl that sets a second one',
    { linux: { sysctls: { 'kernel.shm_rmid_forced': '1+kernel.core_pattern=x' } } },
    'sysctls',
  ],
  [
    'a sysctl of the network on the node’s',
    {
      linux: {
        sysctls: { 'net.ipv4.ip_forward': '1' },
        security_context: { namespace_options: { network: NamespaceMode.NODE } },
      },
    },
    'sysctls',
  ],
  ['a cgroup parent that climbs', { linux: { cgroup_parent: '/../../system.slice' } }, 'cgroup_parent'],
  ['a cgroup parent with a colon', { linux: { cgroup_parent: 'a.slice:b:c' } }, 'cgroup_parent'],
  ['a host name with a line break', { hostname: 'a\nb' }, 'hostname'],
  ['a host name that is too long', { hostname: 'a'.repeat(65) }, 'hostname'],
  [
    'a name server with a line break',
    { dns_config: { servers: ['1.2.3.4\nnameserver 6.6.6.6'] } },
    'dns_config.servers[0]',
  ],
  ['a relative log directory', { log_directory: 'logs' }, 'log_directory'],
  ['.. in the log directory', { log_directory: '/var/log/../../etc' }, 'log_directory'],
  ['a port out of range', { port_mappings: [{ container_port: 65_536, host_port: 80 }] }, 'container_port'],
  [
    'an unknown protocol',
    { port_mappings: [{ protocol: UNKNOWN_ENUM, container_port: 80, host_port: 80 }] },
    'protocol',
  ],
  [
    'a host address that is none',
    { port_mappings: [{ container_port: 80, host_port: 80, host_ip: 'localhost; reboot' }] },
    'host_ip',
  ],
  [
    'a cgroup namespace of a pod',
    ofPod({ namespace_options: { cgroupns_options: { mode: NamespaceMode.CONTAINER } } }),
    'namespace_options.cgroupns_options: is for containers only',
  ],
  [
    'root of the pod not mapped',
    ofPod({ namespace_options: { userns_options: mapping(100_000, 1, 1000) } }),
    'container_id',
  ],
  [
    'mappings past the last id',
    ofPod({ namespace_options: { userns_options: mapping(4_294_967_290, 0, 65_536) } }),
    'userns_options',
  ],
  ['an empty mapping', ofPod({ namespace_options: { userns_options: mapping(100_000, 0, 0) } }), 'length'],
  [
    'two mappings',
    ofPod({
      namespace_options: {
        userns_options: { ...mapping(1, 0, 1), uids: [...mapping(1, 0, 1).uids, ...mapping(5, 1, 1).uids] },
      },
    }),
    'uids',
  ],
  [
    'a user namespace mode that is none',
    ofPod({ namespace_options: { userns_options: { mode: UNKNOWN_ENUM as NamespaceMode } } }),
    'userns_options',
  ],
  ['uid 4294967295 for a pod', ofPod({ run_as_user: value(4_294_967_295) }), 'run_as_user'],
  ['a reserved label of a pod', { labels: { 'io.cri-containerd.kind': 'container' } }, 'labels'],
  ['a NUL in a pod’s label', { labels: { a: NUL } }, 'labels'],
  [
    'a hostname on the node’s network',
    { hostname: 'mine', ...ofPod({ namespace_options: { network: NamespaceMode.NODE } }) },
    'config.hostname',
  ],
  ['a sysctl that sets the hostname', { linux: { sysctls: { 'kernel.hostname': 'x' } } }, 'sysctls'],
  [
    'the NIS domain of the node',
    {
      linux: {
        sysctls: { 'kernel.domainname': 'x' },
        security_context: { namespace_options: { network: NamespaceMode.NODE } },
      },
    },
    'sysctls',
  ],
];

test('an invalid container is refused by its field, and nothing is left behind', async (t) => {
  await pullImage(suite.crid, testImage('volumes').image);
  const before = await leaks(suite.stack);
  for (const [name, config, field] of containers) {
    await t.test(name, () => assertFails(suite.pod.create(config), 'INVALID_ARGUMENT', field));
  }
  await assertLeavesNothing(suite.stack, before);
});

test('an invalid pod is refused by its field, and nothing is left behind', async (t) => {
  const before = await leaks(suite.stack);
  for (const [name, part, field] of pods) {
    await t.test(name, async () => {
      const config = await podConfig(suite.stack, part);
      await assertFails(suite.crid.runtime.runPodSandbox({ config }), 'INVALID_ARGUMENT', field);
    });
  }
  await assertLeavesNothing(suite.stack, before);
});

test('a VOLUME at a file of the image is refused when the container is created, by its path', async (t) => {
  const registry = await startRegistry();
  t.after(() => registry.close());
  const file = { name: 'data', content: 'a file' };
  registry.put('latest', tinyImage({ file, execution: { Volumes: { '/data': {} } } }));
  const image = { image: `${registry.host}/${REPOSITORY}:latest` };
  await pullImage(suite.crid, image.image);
  const before = await leaks(suite.stack);
  await assertFails(suite.pod.create({ image }), 'INVALID_ARGUMENT', 'VOLUME "/data" of the image');
  await assertLeavesNothing(suite.stack, before);
  // A VOLUME with a mount over it is ignored.
  await suite.pod.create({ image, mounts: [{ container_path: '/data', host_path: '/etc/hostname' }] });
});

test('1 MiB of annotations is refused for a container and for a pod', async () => {
  const before = await leaks(suite.stack);
  const annotations = Object.fromEntries(Array.from({ length: 64 }, (_, index) => [`a${index}`, 'x'.repeat(16_384)]));
  await assertFails(suite.pod.create({ annotations }), 'INVALID_ARGUMENT', 'config.annotations');
  const config = await podConfig(suite.stack, { annotations });
  await assertFails(suite.crid.runtime.runPodSandbox({ config }), 'INVALID_ARGUMENT', 'config.annotations');
  await assertLeavesNothing(suite.stack, before);
});

test('10,000 environment variables arrive', async () => {
  const envs = Array.from({ length: 10_000 }, (_, index) => ({ key: `V${index}`, value: bytes(String(index)) }));
  assert.equal(await inside(suite, suite.pod, { envs }, 'env | grep -c ^V[0-9]; echo $V9999'), '10000\n9999');
});

test('the lowest and the highest id', async () => {
  const ids = (id: number): ContainerPart =>
    context({ run_as_user: value(id), run_as_group: value(id), supplemental_groups: [BigInt(id)] });
  assert.equal(await inside(suite, suite.pod, ids(0), 'id -u; id -g; id -G'), '0\n0\n0');
  const last = 2 ** 31 - 1;
  assert.equal(await inside(suite, suite.pod, ids(last), 'id -u; id -g; id -G'), Array(3).fill(last).join('\n'));
});

test('a link in a mount’s path is resolved inside the container, not on the node', async () => {
  const outside = await mkdtemp(join(suite.stack.dir, 'outside-'));
  const image = testImage('volume-through-link');
  const config = { image, mounts: [{ container_path: '/escape/made', host_path: outside }] };
  await pullImage(suite.crid, image.image);
  await inside(suite, suite.pod, config, 'true').catch(() => undefined);
  assert.ok(!(await readdir('/etc')).includes('made'));
});

test('a link in a sub path does not leave the image', async () => {
  const config = {
    mounts: [
      { container_path: '/m', image: testImage('volume-through-link'), readonly: true, image_sub_path: 'escape' },
    ],
  };
  // The link leads to the image's own /etc.
  assert.equal(await inside(suite, suite.pod, config, 'cat /m/hostname'), 'busybox');
});

test(
  'a FIFO as a seccomp file holds up no container and no pod, and nothing is left',
  { timeout: 60_000 },
  async () => {
    const localhost_ref = join(await mkdtemp(join(suite.stack.dir, 'seccomp-')), 'fifo');
    makeFifo(localhost_ref, 0o600);
    const before = await leaks(suite.stack);
    const asked = { seccomp: { profile_type: Profile.Localhost, localhost_ref } };
    await assertFails(suite.pod.create(context(asked)), 'INVALID_ARGUMENT', 'seccomp.localhost_ref');
    const config = await podConfig(suite.stack, ofPod(asked));
    await assertFails(suite.crid.runtime.runPodSandbox({ config }), 'INVALID_ARGUMENT', 'seccomp.localhost_ref');
    await assertLeavesNothing(suite.stack, before);
  },
);

test('a source that is a link to nowhere, or to itself, leaves nothing behind', async () => {
  const dir = await mkdtemp(join(suite.stack.dir, 'links-'));
  const before = await leaks(suite.stack);
  for (const [name, target] of [
    ['link', join(dir, 'nowhere')],
    ['itself', 'itself'],
  ] as const) {
    await symlink(target, join(dir, name));
    const config = mount({ host_path: join(dir, name) });
    await assertFails(suite.pod.create(config), 'FAILED_PRECONDITION', 'mounts[0].host_path');
  }
  assert.deepEqual((await readdir(dir)).sort(), ['itself', 'link']);
  await assertLeavesNothing(suite.stack, before);
});
