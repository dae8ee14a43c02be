import assert from 'node:assert/strict';
import { test } from 'node:test';
import { NamespaceMode } from '../../../generated/runtime/v1/api.js';
import { buildContainerSpec } from '../../../src/spec/container-spec.js';
import type { OciMount, OciSpec } from '../../../src/spec/oci.js';
import { DEFAULT_CAPABILITIES } from '../../../src/spec/security/known-capabilities.js';
import { defaultSeccompProfile } from '../../../src/spec/security/seccomp-default.js';
import {
  containerConfig,
  containerInput,
  device,
  HANDLER,
  HOST,
  mount,
  OPTIONS,
  podConfig,
  refusal,
} from './inputs.js';

/** Compares whole specs. Each expected spec is written as its differences from the plain one. */

const bind = (destination: string, source: string, access = 'rw'): OciMount => ({
  destination,
  type: 'bind',
  source,
  options: ['rbind', 'rprivate', access],
});
const sysfs = (access: string): OciMount => ({
  destination: '/sys',
  type: 'sysfs',
  source: 'sysfs',
  options: ['nosuid', 'noexec', 'nodev', access],
});
const cgroup = (...options: string[]): OciMount => ({
  destination: '/sys/fs/cgroup',
  type: 'cgroup',
  source: 'cgroup',
  options: ['nosuid', 'noexec', 'nodev', 'relatime', ...options],
});
const SYSTEM: OciMount[] = [
  { destination: '/proc', type: 'proc', source: 'proc', options: ['nosuid', 'noexec', 'nodev'] },
  {
    destination: '/dev',
    type: 'tmpfs',
    source: 'tmpfs',
    options: ['nosuid', 'strictatime', 'mode=755', 'size=65536k'],
  },
  {
    destination: '/dev/pts',
    type: 'devpts',
    source: 'devpts',
    options: ['nosuid', 'noexec', 'newinstance', 'ptmxmode=0666', 'mode=0620', 'gid=5'],
  },
  { destination: '/dev/mqueue', type: 'mqueue', source: 'mqueue', options: ['nosuid', 'noexec', 'nodev'] },
];
const FILES = [
  bind('/etc/hostname', '/r/hostname'),
  bind('/etc/hosts', '/r/hosts'),
  bind('/etc/resolv.conf', '/r/resolv.conf'),
  bind('/dev/shm', '/t/shm'),
];
const sets = (names: readonly string[]): object => ({ bounding: names, effective: names, permitted: names });
const POD_NAMESPACES = [
  { type: 'ipc', path: '/proc/42/ns/ipc' },
  { type: 'uts', path: '/proc/42/ns/uts' },
  { type: 'mount' },
  { type: 'network', path: '/proc/42/ns/net' },
];
const DENY = { allow: false, access: 'rwm' };

const PLAIN = {
  ociVersion: '1.2.1',
  process: {
    user: { uid: 0, gid: 0, additionalGids: [0] },
    args: ['/bin/app'],
    env: ['PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin', 'HOSTNAME=web-0', 'LANG=C'],
    cwd: '/srv',
    capabilities: sets(DEFAULT_CAPABILITIES),
  },
  root: { path: 'rootfs' },
  mounts: [...SYSTEM, sysfs('ro'), cgroup('ro'), ...FILES],
  annotations: {
    'io.kubernetes.cri.container-name': 'nginx',
    'io.kubernetes.cri.container-type': 'container',
    'io.kubernetes.cri.image-name': 'docker.io/library/nginx:1',
    'io.kubernetes.cri.sandbox-id': 'p1',
    'io.kubernetes.cri.sandbox-name': 'web',
    'io.kubernetes.cri.sandbox-namespace': 'shop',
    'io.kubernetes.cri.sandbox-uid': 'uid-1',
  },
  linux: {
    resources: { devices: [DENY] },
    cgroupsPath: '/k8s.io/c1',
    namespaces: [{ type: 'pid', path: '/proc/42/ns/pid' }, ...POD_NAMESPACES, { type: 'cgroup' }],
  },
};

test('a plain container', () => {
  assert.deepEqual(buildContainerSpec(containerInput()), PLAIN);
});

test('a terminal on cgroup v1, on a host with AppArmor, with a configured seccomp profile', () => {
  const spec = buildContainerSpec(
    containerInput({
      config: containerConfig({ tty: true, working_dir: '/tmp' }),
      pod: podConfig({ hostname: '' }),
      host: { ...HOST, cgroupVersion: 1, cgroupMountOptions: [], apparmor: true },
      options: { ...OPTIONS, unsetSeccompProfile: 'runtime/default' },
    }),
  );
  assert.deepEqual(spec, {
    ...PLAIN,
    process: {
      ...PLAIN.process,
      terminal: true,
      env: [PLAIN.process.env[0], 'TERM=xterm', 'HOSTNAME=node-1', 'LANG=C'],
      cwd: '/tmp',
      apparmorProfile: 'cri-containerd.apparmor.d',
    },
    linux: {
      ...PLAIN.linux,
      namespaces: PLAIN.linux.namespaces.slice(0, -1),
      seccomp: defaultSeccompProfile(DEFAULT_CAPABILITIES, 'x86_64'),
    },
  });
});

test('a privileged container: all capabilities and devices, nothing hidden, nothing read-only, no profiles', () => {
  const security_context = {
    privileged: true,
    masked_paths: ['/proc/kcore'],
    readonly_paths: ['/proc/sys'],
    seccomp: { profile_type: 0 },
  };
  const spec = buildContainerSpec(
    containerInput({
      config: containerConfig({ linux: { security_context } }),
      pod: podConfig({ linux: { security_context: { privileged: true } } }),
      privilegedDevices: [device({ access: 'rwm' })],
      host: { ...HOST, apparmor: true, capabilities: ['CAP_CHOWN', 'CAP_SYS_ADMIN'] },
      selinux: { processLabel: 'u:r:container_t:s0', mountLabel: 'u:o:container_file_t:s0' },
    }),
  );
  assert.deepEqual(spec, {
    ...PLAIN,
    process: { ...PLAIN.process, capabilities: sets(['CAP_CHOWN', 'CAP_SYS_ADMIN']) },
    mounts: [...SYSTEM, sysfs('rw'), cgroup('rw', 'nsdelegate', 'memory_recursiveprot'), ...FILES],
    linux: {
      ...PLAIN.linux,
      resources: { devices: [{ allow: true, access: 'rwm' }] },
      namespaces: PLAIN.linux.namespaces.slice(0, -1),
      devices: [{ path: '/dev/fuse', type: 'c', major: 10, minor: 229, fileMode: 0o666, uid: 0, gid: 0 }],
      mountLabel: 'u:o:container_file_t:s0',
    },
  });
});

test('a confined container: user, read-only root, hidden paths, labels, own pid namespace, limits, a device', () => {
  const config = containerConfig({
    linux: {
      resources: { cpu_shares: 512n, memory_limit_in_bytes: 2n ** 60n, oom_score_adj: 900n },
      security_context: {
        readonly_rootfs: true,
        no_new_privs: true,
        namespace_options: { pid: NamespaceMode.CONTAINER },
        capabilities: { drop_capabilities: ['ALL'], add_capabilities: ['NET_BIND_SERVICE'] },
        masked_paths: ['/proc/kcore'],
        readonly_paths: ['/proc/sys'],
        seccomp: { profile_type: 2, localhost_ref: '/p.json' },
        apparmor: { profile_type: 2, localhost_ref: 'mine' },
      },
    },
  });
  const spec = buildContainerSpec(
    containerInput({
      config,
      pod: podConfig({ linux: { cgroup_parent: '/kubepods.slice/kubepods-pod1.slice' } }),
      handler: { ...HANDLER, cgroupDriver: 'systemd' },
      user: { uid: 1000, gid: 2000, additionalGids: [2000, 5], username: '' },
      devices: [device()],
      mounts: [mount({ containerPath: '/data', readonly: true, recursiveReadonly: true })],
      seccompProfiles: { localhost: { defaultAction: 'SCMP_ACT_ALLOW' } },
      selinux: { processLabel: 'u:r:container_t:s0', mountLabel: 'u:o:container_file_t:s0' },
      host: { ...HOST, apparmor: true },
    }),
  );
  assert.deepEqual(spec, {
    ...PLAIN,
    process: {
      ...PLAIN.process,
      user: { uid: 1000, gid: 2000, additionalGids: [2000, 5] },
      capabilities: sets(['CAP_NET_BIND_SERVICE']),
      noNewPrivileges: true,
      apparmorProfile: 'mine',
      selinuxLabel: 'u:r:container_t:s0',
      oomScoreAdj: 900,
    },
    root: { path: 'rootfs', readonly: true },
    mounts: [
      ...SYSTEM,
      sysfs('ro'),
      cgroup('ro'),
      bind('/data', '/host/data', 'rro'),
      ...FILES.map((file) =>
        file.destination === '/dev/shm' ? file : bind(file.destination, file.source ?? '', 'ro'),
      ),
    ],
    linux: {
      resources: {
        cpu: { shares: 512n },
        memory: { limit: 2n ** 60n, swap: 2n ** 60n },
        devices: [DENY, { allow: true, type: 'c', major: 10, minor: 229, access: 'rw' }],
      },
      cgroupsPath: 'kubepods-pod1.slice:cri-containerd:c1',
      namespaces: [{ type: 'pid' }, ...POD_NAMESPACES, { type: 'cgroup' }],
      devices: [{ path: '/dev/fuse', type: 'c', major: 10, minor: 229, fileMode: 0o666, uid: 0, gid: 0 }],
      seccomp: { defaultAction: 'SCMP_ACT_ALLOW' },
      maskedPaths: ['/proc/kcore'],
      readonlyPaths: ['/proc/sys'],
      mountLabel: 'u:o:container_file_t:s0',
    },
  });
});

test("a container in the pid namespace of another one, on the host's network, with a user namespace", () => {
  const line = [{ container_id: 0, host_id: 100000, length: 65536 }];
  const userns_options = { mode: NamespaceMode.POD, uids: line, gids: line };
  const mapping = [{ containerID: 0, hostID: 100000, size: 65536 }];
  const spec = buildContainerSpec(
    containerInput({
      config: containerConfig({
        linux: {
          security_context: {
            namespace_options: {
              pid: NamespaceMode.TARGET,
              target_id: 'c0',
              network: NamespaceMode.NODE,
              userns_options,
            },
          },
        },
      }),
      pod: podConfig({
        linux: { security_context: { namespace_options: { network: NamespaceMode.NODE, userns_options } } },
      }),
      targetPid: 77,
      mounts: [mount({ containerPath: '/m', propagation: 'rslave', uidMappings: line, gidMappings: line })],
    }),
  );
  const mapped = { uidMappings: mapping, gidMappings: mapping };
  assert.deepEqual(spec, {
    ...PLAIN,
    mounts: [
      ...SYSTEM,
      { destination: '/sys', type: 'bind', source: '/sys', options: ['rbind', 'rro', 'nosuid', 'nodev', 'noexec'] },
      cgroup('ro'),
      { ...bind('/m', '/host/data'), options: ['rbind', 'rslave', 'rw'], ...mapped },
      ...FILES.map((file) => (file.destination === '/dev/shm' ? file : { ...file, ...mapped })),
    ],
    linux: {
      ...PLAIN.linux,
      ...mapped,
      namespaces: [
        { type: 'pid', path: '/proc/77/ns/pid' },
        ...POD_NAMESPACES,
        { type: 'cgroup' },
        { type: 'user', path: '/proc/42/ns/user' },
      ],
      rootfsPropagation: 'rslave',
    },
  });
});

test('a base spec adds rlimits, hooks and profiles; the request overrides it', () => {
  const base: OciSpec = {
    ociVersion: '1.1.0',
    process: {
      user: { uid: 9, gid: 9, umask: 0o27 },
      args: ['base'],
      env: ['BASE=1', 'LANG=de'],
      cwd: '/base',
      rlimits: [{ type: 'RLIMIT_NOFILE', hard: 1024, soft: 512 }],
      apparmorProfile: 'base',
      noNewPrivileges: true,
      capabilities: { bounding: ['CAP_KILL'] },
    },
    root: { path: '/base' },
    mounts: [
      { destination: '/proc', type: 'proc', source: 'proc' },
      { destination: '/run', type: 'tmpfs', source: 'tmpfs' },
    ],
    hooks: { poststop: [{ path: '/bin/hook' }] },
    annotations: { base: '1' },
    linux: {
      resources: { pids: { limit: 100 }, devices: [{ allow: true, access: 'r' }] },
      namespaces: [{ type: 'mount' }, { type: 'pid' }],
      seccomp: { defaultAction: 'SCMP_ACT_LOG' },
      maskedPaths: ['/base'],
    },
  };
  const spec = buildContainerSpec(
    containerInput({
      handler: { ...HANDLER, baseSpec: base, podAnnotations: ['team'], containerAnnotations: ['x.io/*'] },
      pod: podConfig({ annotations: { team: 'a', other: 'b' } }),
      config: containerConfig({ annotations: { 'x.io/1': '1', team: 'c' } }),
    }),
  );
  assert.deepEqual(spec, {
    ...PLAIN,
    ociVersion: '1.1.0',
    process: {
      ...PLAIN.process,
      user: { ...PLAIN.process.user, umask: 0o27 },
      env: ['BASE=1', 'LANG=C', ...PLAIN.process.env.slice(0, 2)],
      rlimits: [{ type: 'RLIMIT_NOFILE', hard: 1024, soft: 512 }],
      apparmorProfile: 'base',
      capabilities: sets(['CAP_KILL']),
    },
    mounts: [{ destination: '/proc', type: 'proc', source: 'proc' }, cgroup('ro'), ...FILES],
    hooks: { poststop: [{ path: '/bin/hook' }] },
    annotations: { ...PLAIN.annotations, base: '1', team: 'a', 'x.io/1': '1' },
    linux: {
      ...PLAIN.linux,
      resources: { pids: { limit: 100 }, devices: [{ allow: true, access: 'r' }] },
      namespaces: [
        { type: 'mount' },
        { type: 'pid', path: '/proc/42/ns/pid' },
        { type: 'cgroup' },
        { type: 'network', path: '/proc/42/ns/net' },
        { type: 'ipc', path: '/proc/42/ns/ipc' },
        { type: 'uts', path: '/proc/42/ns/uts' },
      ],
      seccomp: { defaultAction: 'SCMP_ACT_LOG' },
    },
  });
});

test('proc mounts disabled: the default lists, whatever the request contains', () => {
  const config = containerConfig({ linux: { security_context: { masked_paths: ['/x'] } } });
  const { linux } = buildContainerSpec(containerInput({ config, options: { ...OPTIONS, disableProcMount: true } }));
  assert.deepEqual(
    [linux.maskedPaths?.length, linux.readonlyPaths?.length, linux.maskedPaths?.includes('/x')],
    [12, 5, false],
  );
});

test('a privileged container in an unprivileged pod, and another user namespace, are refused', () => {
  const line = [{ container_id: 0, host_id: 1, length: 1 }];
  const build = (security_context: object): string =>
    refusal(() => buildContainerSpec(containerInput({ config: containerConfig({ linux: { security_context } }) })));
  assert.deepEqual(
    [build({ privileged: true }), build({ namespace_options: { userns_options: { uids: line, gids: line } } })],
    [
      'INVALID_ARGUMENT config.linux.security_context.privileged: the pod is not privileged',
      "INVALID_ARGUMENT config.linux.security_context.namespace_options.userns_options: must equal the pod's",
    ],
  );
});
