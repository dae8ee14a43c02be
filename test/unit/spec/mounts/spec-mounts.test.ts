import assert from 'node:assert/strict';
import { test } from 'node:test';
import { MountPropagation } from '../../../../generated/runtime/v1/api.js';
import { defaultMounts, HOST_SYS_MOUNT } from '../../../../src/spec/mounts/default-mounts.js';
import { propagationCheck } from '../../../../src/spec/mounts/propagation.js';
import { containerMounts, sandboxMounts, type ContainerMountsInput } from '../../../../src/spec/mounts/spec-mounts.js';
import type { OciMount } from '../../../../src/spec/oci.js';
import { mount, refusal } from '../inputs.js';

const mountsOf = (input: Partial<ContainerMountsInput> = {}): ReturnType<typeof containerMounts> =>
  containerMounts({
    requested: [],
    podMounts: { shm: '/t/shm' },
    volumes: [],
    readonlyRootfs: false,
    privileged: false,
    cgroupWritable: false,
    cgroupOptions: [],
    userNamespace: undefined,
    hostSys: false,
    recursiveReadOnlySupported: true,
    ...input,
  });
const cgroup = (...options: string[]): OciMount => ({
  destination: '/sys/fs/cgroup',
  type: 'cgroup',
  source: 'cgroup',
  options: ['nosuid', 'noexec', 'nodev', 'relatime', ...options],
});
const bind = (destination: string, source: string, ...options: string[]): OciMount => ({
  destination,
  type: 'bind',
  source,
  options: ['rbind', ...options],
});
const withoutShm = defaultMounts().filter(({ destination }) => destination !== '/dev/shm');

test("mounts: the default ones, cgroups read-only, then the pod's files and the volumes by depth", () => {
  const podMounts = { hosts: '/r/hosts', hostname: '/r/hostname', resolvConf: '/r/resolv.conf', shm: '/t/shm' };
  assert.deepEqual(mountsOf({ podMounts, volumes: [{ containerPath: 'vol', hostPath: '/v/1' }] }), {
    mounts: [
      ...withoutShm,
      cgroup('ro'),
      bind('/vol', '/v/1', 'rprivate', 'rw'),
      bind('/etc/hostname', '/r/hostname', 'rprivate', 'rw'),
      bind('/etc/hosts', '/r/hosts', 'rprivate', 'rw'),
      bind('/etc/resolv.conf', '/r/resolv.conf', 'rprivate', 'rw'),
      bind('/dev/shm', '/t/shm', 'rprivate', 'rw'),
    ],
    rootfsPropagation: undefined,
  });
});

test("mounts: the request's replace the pod's and the default ones", () => {
  const requested = [
    mount({ containerPath: '/etc/hosts/', hostPath: '/h' }),
    mount({ containerPath: '/dev', hostPath: '/dev' }),
    mount({ containerPath: '/sys/fs/cgroup', hostPath: '/c', readonly: true }),
  ];
  const { mounts } = mountsOf({ requested, podMounts: { hosts: '/r/hosts', shm: '/t/shm' } });
  assert.deepEqual(mounts, [
    ...withoutShm.filter(({ destination }) => !destination.startsWith('/dev')),
    bind('/dev', '/dev', 'rprivate', 'rw'),
    bind('/etc/hosts/', '/h', 'rprivate', 'rw'),
    bind('/dev/shm', '/t/shm', 'rprivate', 'rw'),
    bind('/sys/fs/cgroup', '/c', 'rprivate', 'ro'),
  ]);
});

test('mounts: privileged and cgroup_writable make only the right mounts writable', () => {
  const systemOf = (input: Partial<ContainerMountsInput>): (readonly string[] | undefined)[] =>
    mountsOf(input)
      .mounts.filter(({ destination }) => destination.startsWith('/sys'))
      .map(({ options }) => options?.filter((option) => !['nosuid', 'noexec', 'nodev', 'relatime'].includes(option)));
  assert.deepEqual(
    [systemOf({ privileged: true }), systemOf({ cgroupWritable: true }), systemOf({ cgroupOptions: ['nsdelegate'] })],
    [
      [['rw'], ['rw']],
      [['ro'], ['rw']],
      [['ro'], ['ro', 'nsdelegate']],
    ],
  );
});

test('mounts: ids are mapped as requested, on the files of the pod like the pod, and never on images or tmpfs', () => {
  const mapping = { containerID: 0, hostID: 9, size: 1 };
  const mapped = { uidMappings: [mapping], gidMappings: [mapping] };
  const request = { uidMappings: [{ container_id: 0, host_id: 9, length: 1 }], gidMappings: [] };
  const { mounts } = mountsOf({
    requested: [mount({ containerPath: '/a', ...request }), mount({ containerPath: '/b', ...request, kind: 'image' })],
    podMounts: { hosts: '/r/hosts', shm: '/t/shm' },
    volumes: [{ containerPath: '/c', hostPath: '/v/1' }],
    userNamespace: { uids: [mapping], gids: [mapping] },
    readonlyRootfs: true,
    hostSys: true,
  });
  assert.deepEqual(mounts, [
    ...withoutShm.map((one) => (one.destination === '/sys' ? HOST_SYS_MOUNT : one)),
    cgroup('ro'),
    { ...bind('/a', '/host/data', 'rprivate', 'rw'), uidMappings: [mapping] },
    bind('/b', '/host/data', 'rprivate', 'ro'),
    { ...bind('/c', '/v/1', 'rprivate', 'rw'), ...mapped },
    { ...bind('/etc/hosts', '/r/hosts', 'rprivate', 'ro'), ...mapped },
    bind('/dev/shm', '/t/shm', 'rprivate', 'rw'),
  ]);
});

test('mounts: recursively read-only needs ro, private propagation and a runtime that can', () => {
  const options = (input: Parameters<typeof mount>[0], supported = true): unknown =>
    mountsOf({
      requested: [mount({ recursiveReadonly: true, ...input })],
      recursiveReadOnlySupported: supported,
    }).mounts.find(({ destination }) => destination === '/data')?.options;
  const field = 'INVALID_ARGUMENT config.mounts[/data].recursive_read_only';
  assert.deepEqual(
    [
      options({ readonly: true }),
      refusal(() => options({ readonly: false })),
      refusal(() => options({ readonly: true, propagation: 'rslave' })),
      refusal(() => options({ readonly: true }, false)),
    ],
    [
      ['rbind', 'rprivate', 'rro'],
      `${field}: the mount is not readonly`,
      `${field}: needs private propagation`,
      `${field}: the runtime handler does not support recursive read-only mounts`,
    ],
  );
});

test('mounts: their own options come last', () => {
  const options = (input: Parameters<typeof mount>[0]): unknown =>
    mountsOf({
      requested: [mount({ options: ['noexec', 'nosuid'], ...input })],
      recursiveReadOnlySupported: true,
    }).mounts.find(({ destination }) => destination === '/data')?.options;
  assert.deepEqual(
    [
      options({}),
      options({ readonly: true, propagation: 'rslave' }),
      options({ readonly: true, recursiveReadonly: true }),
    ],
    [
      ['rbind', 'rprivate', 'rw', 'noexec', 'nosuid'],
      ['rbind', 'rslave', 'ro', 'noexec', 'nosuid'],
      ['rbind', 'rprivate', 'rro', 'noexec', 'nosuid'],
    ],
  );
});

test('mounts: the root has the propagation that the most far-reaching mount needs', () => {
  const of = (...modes: ('rprivate' | 'rshared' | 'rslave')[]): unknown =>
    mountsOf({ requested: modes.map((propagation) => mount({ propagation })) }).rootfsPropagation;
  assert.deepEqual(
    [of('rprivate'), of('rslave', 'rprivate'), of('rslave', 'rshared', 'rslave')],
    [undefined, 'rslave', 'rshared'],
  );
});

test('propagation: needs a mount that propagates', () => {
  const check = (propagation: MountPropagation, sharedId?: number, masterId?: number): string => {
    const host = { mountPoint: '/mnt', sharedId, masterId };
    let found = '';
    const refused = refusal(() => (found = propagationCheck({ hostPath: '/mnt/x', propagation }, host)));
    return found || refused;
  };
  const {
    PROPAGATION_PRIVATE: PRIVATE,
    PROPAGATION_BIDIRECTIONAL: BOTH,
    PROPAGATION_HOST_TO_CONTAINER: IN,
  } = MountPropagation;
  const text = 'FAILED_PRECONDITION path "/mnt/x" is mounted on "/mnt" but it is not a';
  assert.deepEqual(
    [
      check(PRIVATE),
      check(BOTH, 1),
      check(BOTH, undefined, 1),
      check(IN, 1),
      check(IN, undefined, 1),
      check(IN),
      check(9 as never),
    ],
    [
      'rprivate',
      'rshared',
      `${text} shared mount`,
      'rslave',
      'rslave',
      `${text} shared or slave mount`,
      'INVALID_ARGUMENT config.mounts.propagation: unknown value 9',
    ],
  );
});

test('mounts of the pause container: shm and resolv.conf read-only, sysfs as the pod needs it', () => {
  const of = (more: object): OciMount[] =>
    sandboxMounts({ shmPath: '/t/shm', resolvConfPath: '/r/resolv.conf', hostSys: false, privileged: false, ...more });
  const flags = ['ro', 'nosuid', 'nodev', 'noexec'];
  const sys = (mounts: OciMount[]): unknown => mounts.find(({ destination }) => destination === '/sys');
  assert.deepEqual(
    [of({}), sys(of({ hostSys: true })), sys(of({ privileged: true }))],
    [
      [...withoutShm, bind('/dev/shm', '/t/shm', ...flags), bind('/etc/resolv.conf', '/r/resolv.conf', ...flags)],
      HOST_SYS_MOUNT,
      { destination: '/sys', type: 'sysfs', source: 'sysfs', options: ['nosuid', 'noexec', 'nodev', 'rw'] },
    ],
  );
});
