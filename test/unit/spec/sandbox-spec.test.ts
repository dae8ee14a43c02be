import assert from 'node:assert/strict';
import { test } from 'node:test';
import { NamespaceMode } from '../../../generated/runtime/v1/api.js';
import { MASKED_PATHS, READONLY_PATHS } from '../../../src/spec/mounts/default-mounts.js';
import { sandboxMounts } from '../../../src/spec/mounts/spec-mounts.js';
import { buildSandboxSpec } from '../../../src/spec/sandbox-spec.js';
import { DEFAULT_CAPABILITIES } from '../../../src/spec/security/known-capabilities.js';
import { defaultSeccompProfile } from '../../../src/spec/security/seccomp-default.js';
import { HANDLER, HOST, podConfig, refusal, sandboxInput } from './inputs.js';

const mounts = (more: object = {}): unknown =>
  sandboxMounts({ shmPath: '/t/shm', resolvConfPath: '/r/resolv.conf', hostSys: false, privileged: false, ...more });
const PINGS = { 'net.ipv4.ping_group_range': '0 2147483647' };
const PORTS = { 'net.ipv4.ip_unprivileged_port_start': '0' };
const NETWORK = { type: 'network', path: '/var/run/netns/cni-1' };

const PLAIN = {
  ociVersion: '1.2.1',
  process: {
    user: { uid: 65535, gid: 65535, additionalGids: [65535] },
    args: ['/pause'],
    env: ['PATH=/bin'],
    cwd: '/',
    capabilities: {
      bounding: DEFAULT_CAPABILITIES,
      effective: DEFAULT_CAPABILITIES,
      permitted: DEFAULT_CAPABILITIES,
    },
    noNewPrivileges: true,
    oomScoreAdj: -998,
  },
  root: { path: 'rootfs', readonly: true },
  hostname: 'web-0',
  mounts: mounts(),
  annotations: {
    'io.kubernetes.cri.container-type': 'sandbox',
    'io.kubernetes.cri.podsandbox.image-name': 'registry.example/pause:3',
    'io.kubernetes.cri.sandbox-id': 'p1',
    'io.kubernetes.cri.sandbox-log-directory': '/var/log/pods/web',
    'io.kubernetes.cri.sandbox-name': 'web',
    'io.kubernetes.cri.sandbox-namespace': 'shop',
    'io.kubernetes.cri.sandbox-uid': 'uid-1',
  },
  linux: {
    sysctl: { ...PORTS, ...PINGS },
    resources: { devices: [{ allow: false, access: 'rwm' }], cpu: { shares: 2n } },
    cgroupsPath: '/k8s.io/p1',
    namespaces: [{ type: 'pid' }, { type: 'ipc' }, { type: 'uts' }, { type: 'mount' }, NETWORK],
    maskedPaths: MASKED_PATHS,
    readonlyPaths: READONLY_PATHS,
  },
};

test('a plain pod', () => {
  assert.deepEqual(buildSandboxSpec(sandboxInput()), PLAIN);
});

test("a pod in the host's namespaces", () => {
  const { NODE } = NamespaceMode;
  const pod = podConfig({
    linux: { security_context: { namespace_options: { network: NODE, pid: NODE, ipc: NODE } } },
  });
  const { sysctl: _sysctl, ...linux } = PLAIN.linux;
  const { hostname: _hostname, ...rest } = PLAIN;
  assert.deepEqual(buildSandboxSpec(sandboxInput({ pod, netnsPath: undefined, shmPath: '/dev/shm' })), {
    ...rest,
    mounts: mounts({ shmPath: '/dev/shm' }),
    linux: { ...linux, namespaces: [{ type: 'mount' }] },
  });
});

test('a privileged pod on a host where crid may not lower the OOM score', () => {
  const pod = podConfig({ linux: { security_context: { privileged: true, seccomp: { profile_type: 0 } } } });
  const host = { ...HOST, mayLowerOomScore: false, oomScoreAdj: 7 };
  const selinux = { processLabel: 'u:r:t:s0', mountLabel: 'u:o:f:s0' };
  assert.deepEqual(buildSandboxSpec(sandboxInput({ pod, host, selinux })), {
    ...PLAIN,
    process: { ...PLAIN.process, oomScoreAdj: 7 },
    mounts: mounts({ privileged: true }),
    linux: { ...PLAIN.linux, mountLabel: 'u:o:f:s0' },
  });
});

test('a pod with a user namespace, resources, sysctls, seccomp, SELinux and a slice', () => {
  const line = [{ container_id: 0, host_id: 100000, length: 65536 }];
  const mapping = [{ containerID: 0, hostID: 100000, size: 65536 }];
  const pod = podConfig({
    annotations: { 'x.io/a': '1', other: '2' },
    linux: {
      cgroup_parent: '/kubepods.slice/kubepods-pod1.slice',
      sysctls: { 'net.core.somaxconn': '9' },
      resources: { cpu_period: 100000n, cpu_quota: 2n ** 60n, cpu_shares: 512n, memory_limit_in_bytes: 1024n },
      security_context: {
        namespace_options: { userns_options: { mode: NamespaceMode.POD, uids: line, gids: line } },
        seccomp: { profile_type: 0 },
      },
    },
  });
  const spec = buildSandboxSpec(
    sandboxInput({
      pod,
      usernsPath: '/t/user',
      handler: { ...HANDLER, cgroupDriver: 'systemd', podAnnotations: ['x.io/*'] },
      selinux: { processLabel: 'u:r:t:s0', mountLabel: 'u:o:f:s0' },
    }),
  );
  assert.deepEqual(spec, {
    ...PLAIN,
    process: { ...PLAIN.process, selinuxLabel: 'u:r:t:s0' },
    annotations: {
      ...PLAIN.annotations,
      'x.io/a': '1',
      'io.kubernetes.cri.sandbox-cpu-period': '100000',
      'io.kubernetes.cri.sandbox-cpu-quota': '1152921504606846976',
      'io.kubernetes.cri.sandbox-cpu-shares': '512',
      'io.kubernetes.cri.sandbox-memory': '1024',
    },
    linux: {
      ...PLAIN.linux,
      uidMappings: mapping,
      gidMappings: mapping,
      sysctl: { ...PORTS, 'net.core.somaxconn': '9' },
      cgroupsPath: 'kubepods-pod1.slice:cri-containerd:p1',
      namespaces: [...PLAIN.linux.namespaces, { type: 'user', path: '/t/user' }],
      seccomp: defaultSeccompProfile(DEFAULT_CAPABILITIES, 'x86_64'),
      mountLabel: 'u:o:f:s0',
    },
  });
});

test('a pause image without a command is refused', () => {
  assert.equal(
    refusal(() => buildSandboxSpec(sandboxInput({ image: {} }))),
    'FAILED_PRECONDITION pause image registry.example/pause:3: neither an entrypoint nor a command',
  );
});
