import assert from 'node:assert/strict';
import { test } from 'node:test';
import {
  LinuxContainerResources,
  NamespaceMode,
  NamespaceOption,
  UserNamespace,
} from '../../../generated/runtime/v1/api.js';
import { cgroupDirectory, cgroupsPath } from '../../../src/spec/cgroup-path.js';
import { containerDevices } from '../../../src/spec/devices.js';
import type { OciResources } from '../../../src/spec/oci.js';
import {
  restoringResources,
  withResources,
  type ResourceHost,
  type ResourceOptions,
} from '../../../src/spec/resources.js';
import { containerNamespaces, sandboxNamespaces } from '../../../src/spec/spec-namespaces.js';
import { checkSysctls, sandboxSysctls } from '../../../src/spec/sysctls.js';
import { checkSameUserNamespace, userNamespaceMappings } from '../../../src/spec/user/user-namespace.js';
import { device, HOST, OPTIONS, refusal, type Partially } from './inputs.js';

const resources = (
  requested: Partially<typeof LinuxContainerResources>,
  host: Partial<ResourceHost> = {},
  options: Partial<ResourceOptions> = {},
  current: OciResources = {},
): OciResources =>
  withResources(
    current,
    LinuxContainerResources.fromPartial(requested),
    { ...HOST, ...host },
    { ...OPTIONS, ...options },
  );

test('resources: zero and empty values set nothing, memory may not swap', () => {
  assert.deepEqual(
    [
      resources({}),
      resources({ cpu_period: 100000n, cpu_quota: -1n, cpu_shares: 2n, cpuset_cpus: '0-1', cpuset_mems: '0' }),
      resources({ memory_limit_in_bytes: 2n ** 60n }),
      resources({ memory_limit_in_bytes: 10n, memory_swap_limit_in_bytes: 20n }),
      resources({ memory_limit_in_bytes: 10n, memory_swap_limit_in_bytes: 20n }, { swapController: false }),
      withResources({ pids: { limit: 5 } }, undefined, HOST, OPTIONS),
    ],
    [
      { cpu: {}, memory: {} },
      { cpu: { shares: 2n, quota: -1n, period: 100000n, cpus: '0-1', mems: '0' }, memory: {} },
      { cpu: {}, memory: { limit: 2n ** 60n, swap: 2n ** 60n } },
      { cpu: {}, memory: { limit: 10n, swap: 20n } },
      { cpu: {}, memory: { limit: 10n } },
      { pids: { limit: 5 } },
    ],
  );
});

test('resources: an update keeps what it does not name', () => {
  const current: OciResources = {
    devices: [{ allow: false, access: 'rwm' }],
    cpu: { shares: 5n, cpus: '0' },
    memory: { limit: 10n, swap: 10n },
    hugepageLimits: [{ pageSize: '2MB', limit: 1n }],
    unified: { 'memory.high': '1', 'memory.low': '1' },
  };
  assert.deepEqual(
    resources(
      { cpu_shares: 9n, hugepage_limits: [{ page_size: '2MB', limit: 3n }], unified: { 'memory.high': '2' } },
      {},
      {},
      current,
    ),
    {
      ...current,
      cpu: { shares: 9n, cpus: '0' },
      hugepageLimits: [{ pageSize: '2MB', limit: 3n }],
      unified: { 'memory.high': '2', 'memory.low': '1' },
    },
  );
});

test('resources: huge pages follow the configuration, unified needs cgroup v2', () => {
  const huge = { hugepage_limits: [{ page_size: '2MB', limit: 4194304n }] };
  assert.deepEqual(
    [
      resources(huge).hugepageLimits,
      resources(huge, {}, { disableHugetlbController: true }).hugepageLimits,
      resources(huge, { hugetlbController: false }).hugepageLimits,
      refusal(() => resources(huge, { hugetlbController: false }, { tolerateMissingHugetlbController: false })),
      refusal(() => resources({ unified: { 'memory.high': '1' } }, { cgroupVersion: 1 })),
    ],
    [
      [{ pageSize: '2MB', limit: 4194304n }],
      undefined,
      undefined,
      'FAILED_PRECONDITION config.linux.resources.hugepage_limits: this host has no hugetlb cgroup controller',
      'INVALID_ARGUMENT config.linux.resources.unified: this host has cgroup v1, which has no unified resources',
    ],
  );
});

test('cgroups path: by parent and driver, and where that is below the hierarchy', () => {
  const fs = { driver: 'cgroupfs', namespace: 'k8s.io' } as const;
  const systemd = { driver: 'systemd', namespace: 'k8s.io' } as const;
  const slice = 'kubepods.slice/kubepods-burstable.slice/kubepods-burstable-pod1.slice';
  const paths = [
    cgroupsPath('', 'c1', fs),
    cgroupsPath('/kubepods/pod1', 'c1', fs),
    cgroupsPath(`/${slice}`, 'c1', systemd),
    cgroupsPath('', 'c1', systemd),
  ];
  assert.deepEqual(
    [paths, paths.map(cgroupDirectory), refusal(() => cgroupsPath('/a/../..', 'c1', fs))],
    [
      [
        '/k8s.io/c1',
        '/kubepods/pod1/c1',
        'kubepods-burstable-pod1.slice:cri-containerd:c1',
        'system.slice:cri-containerd:c1',
      ],
      ['/k8s.io/c1', '/kubepods/pod1/c1', `/${slice}/cri-containerd-c1.scope`, '/system.slice/cri-containerd-c1.scope'],
      'INVALID_ARGUMENT config.linux.cgroup_parent: "/a/../.." contains ".."',
    ],
  );
  assert.deepEqual(['', ':cri-containerd:x', '-.slice::x'].map(cgroupDirectory), [
    '',
    '/system.slice/cri-containerd-x.scope',
    '/x.scope',
  ]);
});

const namespaceOption = (option: Partially<typeof NamespaceOption>): NamespaceOption =>
  NamespaceOption.fromPartial(option);

test("namespaces of a container: the pause process's, its own, or another container's", () => {
  const paths = (option: Partially<typeof NamespaceOption>, more: object = {}): Record<string, string> =>
    Object.fromEntries(
      containerNamespaces({
        options: namespaceOption(option),
        podPid: 7,
        userNamespace: false,
        cgroup: 'base' as const,
        ...more,
      }).map(({ type, path = 'new' }) => [type, path]),
    );
  const shared = { ipc: '/proc/7/ns/ipc', uts: '/proc/7/ns/uts', network: '/proc/7/ns/net' };
  assert.deepEqual(
    [
      paths({}),
      paths({ pid: NamespaceMode.CONTAINER }, { cgroup: 'private', userNamespace: true }),
      paths({}, { cgroup: 'base', base: [{ type: 'cgroup' }] }),
      paths({}, { cgroup: 'node', base: [{ type: 'cgroup' }] }),
      paths({ pid: NamespaceMode.TARGET, target_id: 'x' }, { targetPid: 9 }),
      paths({ pid: NamespaceMode.NODE, network: NamespaceMode.NODE }),
      refusal(() => paths({ pid: NamespaceMode.TARGET })),
      refusal(() => paths({ pid: 7 as never })),
    ],
    [
      { pid: '/proc/7/ns/pid', mount: 'new', ...shared },
      { pid: 'new', mount: 'new', ...shared, cgroup: 'new', user: '/proc/7/ns/user' },
      { pid: '/proc/7/ns/pid', ...shared, cgroup: 'new' },
      { pid: '/proc/7/ns/pid', ...shared },
      { pid: '/proc/9/ns/pid', mount: 'new', ...shared },
      { pid: '/proc/7/ns/pid', mount: 'new', ...shared },
      'INVALID_ARGUMENT config.linux.security_context.namespace_options.target_id: names no running container',
      'INVALID_ARGUMENT config.linux.security_context.namespace_options.pid: unknown mode 7',
    ],
  );
});

test('namespaces of the pause container: NODE omits them', () => {
  const of = (option: Partially<typeof NamespaceOption>, netnsPath?: string, usernsPath?: string): unknown =>
    sandboxNamespaces({
      options: namespaceOption(option),
      netnsPath,
      usernsPath,
      userNamespace: usernsPath !== undefined,
    });
  const { NODE, CONTAINER } = NamespaceMode;
  assert.deepEqual(
    [
      of({ pid: CONTAINER }, '/run/netns/x'),
      of({ network: NODE, pid: NODE, ipc: NODE }),
      of({}, '/run/netns/x', '/t/user'),
    ],
    [
      [{ type: 'pid' }, { type: 'ipc' }, { type: 'uts' }, { type: 'mount' }, { type: 'network', path: '/run/netns/x' }],
      [{ type: 'mount' }],
      [
        { type: 'pid' },
        { type: 'ipc' },
        { type: 'uts' },
        { type: 'mount' },
        { type: 'network', path: '/run/netns/x' },
        { type: 'user', path: '/t/user' },
      ],
    ],
  );
});

test('user namespaces: one mapping each, with root in it, the same for pod and container', () => {
  const line = (host_id: number, container_id = 0, length = 65536): object => ({ host_id, container_id, length });
  const userns = (mode: number, uids: object[], gids: object[]): UserNamespace =>
    UserNamespace.fromPartial({ mode, uids, gids });
  const map = (options: UserNamespace): unknown => userNamespaceMappings(options, 'f');
  const mapping = { containerID: 0, hostID: 100000, size: 65536 };
  const option = (host_id: number): NamespaceOption =>
    namespaceOption({ userns_options: userns(0, [line(host_id)], [line(host_id)]) });
  assert.deepEqual(
    [
      map(userns(NamespaceMode.POD, [line(100000)], [line(100000)])),
      map(userns(NamespaceMode.NODE, [], [])),
      refusal(() => map(userns(NamespaceMode.NODE, [line(1)], []))),
      refusal(() => map(userns(NamespaceMode.POD, [line(1)], []))),
      refusal(() => map(userns(NamespaceMode.POD, [line(1), line(2)], [line(1)]))),
      refusal(() => map(userns(NamespaceMode.POD, [line(1, 1)], [line(1)]))),
      refusal(() => map(userns(NamespaceMode.POD, [line(1, 0, 0)], [line(1)]))),
      refusal(() => map(userns(NamespaceMode.POD, [line(4294967000)], [line(1)]))),
      refusal(() => map(userns(NamespaceMode.CONTAINER, [], []))),
      refusal(() => checkSameUserNamespace(option(1), option(1))),
      refusal(() => checkSameUserNamespace(option(1), option(2))),
      refusal(() => checkSameUserNamespace(option(1), undefined)),
    ],
    [
      { uids: [mapping], gids: [mapping] },
      undefined,
      'INVALID_ARGUMENT f: mode NODE takes no mappings',
      'INVALID_ARGUMENT f: mode POD needs one mapping of uids and one of gids',
      'INVALID_ARGUMENT f.uids: expected one mapping, received 2',
      'INVALID_ARGUMENT f.uids[0].container_id: root (0) is not mapped',
      'INVALID_ARGUMENT f.uids[0].length: expected 1 or more, received 0',
      'INVALID_ARGUMENT f.uids[0]: ids exceed 4294967295',
      'INVALID_ARGUMENT f.mode: unsupported user namespace mode 1',
      'nothing thrown',
      "INVALID_ARGUMENT config.linux.security_context.namespace_options.userns_options: must equal the pod's",
      "INVALID_ARGUMENT config.linux.security_context.namespace_options.userns_options: must equal the pod's",
    ],
  );
});

test('devices: a node and a rule each; privileged adds those of the host and allows all', () => {
  const requested = [device({ path: '/dev/mine', access: 'r' })];
  const hostDevices = [
    device({ path: '/dev/mine', minor: 1 }),
    device({ path: '/dev/kvm', minor: 232, access: 'rwm' }),
  ];
  const of = (more: object): unknown =>
    containerDevices({
      requested,
      hostDevices,
      privileged: true,
      withoutHostDevices: false,
      allDevicesAllowed: false,
      ...more,
    });
  const mine = { path: '/dev/mine', type: 'c', major: 10, minor: 229, fileMode: 0o666, uid: 0, gid: 0 };
  const deny = { allow: false, access: 'rwm' };
  const all = { allow: true, access: 'rwm' };
  const rule = { allow: true, type: 'c', major: 10, minor: 229, access: 'r' };
  assert.deepEqual(
    [
      of({ privileged: false }),
      of({}),
      of({ withoutHostDevices: true }),
      of({ withoutHostDevices: true, allDevicesAllowed: true }),
      of({ privileged: false, owner: { uid: { value: 1000n }, gid: undefined } }),
    ],
    [
      { devices: [mine], rules: [deny, rule] },
      { devices: [mine, { ...mine, path: '/dev/kvm', minor: 232 }], rules: [all] },
      { devices: [mine], rules: [deny, rule] },
      { devices: [mine], rules: [all] },
      { devices: [{ ...mine, uid: 1000 }], rules: [deny, rule] },
    ],
  );
});

test('sysctls: those that let unprivileged processes bind and ping, if the pod has its own network', () => {
  const of = (more: object): unknown =>
    sandboxSysctls({ requested: {}, hostNetwork: false, userNamespace: false, options: OPTIONS, host: HOST, ...more });
  const ports = { 'net.ipv4.ip_unprivileged_port_start': '0' };
  assert.deepEqual(
    [
      of({}),
      of({ requested: { 'net.ipv4.ip_unprivileged_port_start': '80', 'net.core.somaxconn': '9' } }),
      of({ userNamespace: true }),
      of({ hostNetwork: true }),
      of({ options: { enableUnprivilegedPorts: false, enableUnprivilegedIcmp: false } }),
      of({ host: { unprivilegedPortSysctl: false }, userNamespace: true }),
    ],
    [
      { ...ports, 'net.ipv4.ping_group_range': '0 2147483647' },
      {
        'net.ipv4.ip_unprivileged_port_start': '80',
        'net.ipv4.ping_group_range': '0 2147483647',
        'net.core.somaxconn': '9',
      },
      ports,
      {},
      {},
      {},
    ],
  );
});

test('sysctls: only those of namespaces that the pod has', () => {
  const check = (name: string, value = '1', option: Partially<typeof NamespaceOption> = {}): string =>
    refusal(() => checkSysctls({ [name]: value }, namespaceOption(option), 'f'));
  const good = [
    'net.core.somaxconn',
    'net/ipv4/conf/eth0.1/forwarding',
    'kernel.shmmax',
    'kernel.sem',
    'fs.mqueue.msg_max',
    'kernel.domainname',
  ];
  const bad = ['kernel.core_pattern', 'vm.swappiness', 'kernel/core_pattern', 'kernel.shm.core_pattern', 'fs.mqueuex'];
  assert.deepEqual(
    [
      good.map((name) => check(name)),
      bad.map((name) => check(name)),
      check('net.core.somaxconn', '1', { network: NamespaceMode.NODE }),
      check('kernel.sem', '1', { ipc: NamespaceMode.NODE }),
      check('net.core.somaxconn', '1', { ipc: NamespaceMode.NODE }),
      check('kernel/domainname', '1', { network: NamespaceMode.NODE }),
      check('kernel.hostname'),
    ],
    [
      good.map(() => 'nothing thrown'),
      bad.map((name) => `INVALID_ARGUMENT f["${name}"]: is not a namespaced sysctl`),
      'INVALID_ARGUMENT f["net.core.somaxconn"]: the pod\'s network namespace is the host\'s',
      'INVALID_ARGUMENT f["kernel.sem"]: the pod\'s IPC namespace is the host\'s',
      'nothing thrown',
      'INVALID_ARGUMENT f["kernel/domainname"]: the pod\'s UTS namespace is the host\'s',
      'INVALID_ARGUMENT f["kernel.hostname"]: set config.hostname instead',
    ],
  );
});

test('after a refused update, limits go back to unlimited or to their old value', () => {
  const before = { cpu: { shares: 300n }, memory: { limit: 64n } };
  const after = {
    cpu: { shares: 999n, quota: 50_000n, cpus: '0' },
    memory: { limit: 96n, swap: 96n },
    unified: { 'memory.high': '90', 'io.weight': '10' },
  };
  assert.deepEqual(restoringResources(before, after), {
    cpu: { shares: 300n, quota: -1n },
    memory: { limit: 64n, swap: -1n },
    unified: { 'memory.high': 'max' },
  });
});
