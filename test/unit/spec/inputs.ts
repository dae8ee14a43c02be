import assert from 'node:assert/strict';
import { ContainerConfig, PodSandboxConfig } from '../../../generated/runtime/v1/api.js';
import { CriError } from '../../../src/base/errors.js';
import {
  NO_FEATURES,
  type ContainerSpecInput,
  type HostFacts,
  type ResolvedDevice,
  type ResolvedMount,
  type SandboxSpecInput,
  type SpecHandlerOptions,
  type SpecOptions,
} from '../../../src/spec/types.js';

/** A message of which only some fields are given. */
export type Partially<M> = M extends { fromPartial(object: infer P): unknown } ? P : never;

/** A typical host: cgroup v2, all features present, and crid with all privileges. */
export const HOST: HostFacts = {
  cgroupVersion: 2,
  apparmor: false,
  seccomp: true,
  selinux: false,
  swapController: true,
  hugetlbController: true,
  cgroupMountOptions: ['nsdelegate', 'memory_recursiveprot'],
  hostname: 'node-1',
  machine: 'x86_64',
  oomScoreAdj: -999,
  mayLowerOomScore: true,
  unprivilegedPortSysctl: true,
};

export const HANDLER: SpecHandlerOptions = {
  podAnnotations: [],
  containerAnnotations: [],
  privilegedWithoutHostDevices: false,
  privilegedWithoutHostDevicesAllDevicesAllowed: false,
  cgroupWritable: false,
  cgroupNamespaces: true,
  cgroupDriver: 'cgroupfs',
  recursiveReadOnlyMounts: true,
  runtimeFeatures: NO_FEATURES,
};

export const OPTIONS: SpecOptions = {
  namespace: 'k8s.io',
  disableProcMount: false,
  disableApparmor: false,
  unsetSeccompProfile: '',
  restrictOomScoreAdj: false,
  tolerateMissingHugetlbController: true,
  disableHugetlbController: false,
  deviceOwnershipFromSecurityContext: false,
  enableUnprivilegedPorts: true,
  enableUnprivilegedIcmp: true,
};

export const podConfig = (config: Partially<typeof PodSandboxConfig> = {}): PodSandboxConfig =>
  PodSandboxConfig.fromPartial({
    metadata: { name: 'web', namespace: 'shop', uid: 'uid-1', attempt: 0 },
    hostname: 'web-0',
    log_directory: '/var/log/pods/web',
    ...config,
  });

export const containerConfig = (config: Partially<typeof ContainerConfig> = {}): ContainerConfig =>
  ContainerConfig.fromPartial({
    metadata: { name: 'nginx', attempt: 0 },
    image: { image: 'sha256:1' },
    command: ['/bin/app'],
    ...config,
  });

export const containerInput = (input: Partial<ContainerSpecInput> = {}): ContainerSpecInput => ({
  id: 'c1',
  podId: 'p1',
  podPid: 42,
  config: containerConfig(),
  pod: podConfig(),
  imageName: 'docker.io/library/nginx:1',
  image: { config: { Env: ['LANG=C'], Cmd: ['nginx'], WorkingDir: '/srv' } },
  user: { uid: 0, gid: 0, additionalGids: [0], username: '' },
  mounts: [],
  podMounts: { hosts: '/r/hosts', hostname: '/r/hostname', resolvConf: '/r/resolv.conf', shm: '/t/shm' },
  volumes: [],
  devices: [],
  privilegedDevices: [],
  handler: HANDLER,
  options: OPTIONS,
  host: HOST,
  ...input,
});

export const sandboxInput = (input: Partial<SandboxSpecInput> = {}): SandboxSpecInput => ({
  id: 'p1',
  pod: podConfig(),
  image: { config: { Entrypoint: ['/pause'], Env: ['PATH=/bin'], WorkingDir: '/' } },
  imageName: 'registry.example/pause:3',
  netnsPath: '/var/run/netns/cni-1',
  hostname: 'web-0',
  shmPath: '/t/shm',
  resolvConfPath: '/r/resolv.conf',
  user: { uid: 65535, gid: 65535, additionalGids: [65535], username: '' },
  handler: HANDLER,
  options: OPTIONS,
  host: HOST,
  ...input,
});

export const mount = (input: Partial<ResolvedMount> = {}): ResolvedMount => ({
  containerPath: '/data',
  hostPath: '/host/data',
  readonly: false,
  recursiveReadonly: false,
  propagation: 'rprivate',
  options: [],
  uidMappings: [],
  gidMappings: [],
  kind: 'bind',
  imageId: undefined,
  ...input,
});

export const device = (input: Partial<ResolvedDevice> = {}): ResolvedDevice => ({
  path: '/dev/fuse',
  type: 'c',
  major: 10,
  minor: 229,
  fileMode: 0o666,
  uid: 0,
  gid: 0,
  access: 'rw',
  ...input,
});

/** Returns the error of `work` as `CODE message`. */
export function refusal(work: () => unknown): string {
  try {
    work();
  } catch (thrown) {
    assert.ok(thrown instanceof CriError, `threw ${String(thrown)}`);
    return `${thrown.code} ${thrown.message}`;
  }
  return 'nothing thrown';
}
