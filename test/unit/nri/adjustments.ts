import type { ContainerAdjustment, ContainerUpdate } from '../../../generated/nri/v1alpha1/api.js';
import {
  CreateContainerResponse,
  IOPrioClass,
  LinuxSchedulerFlag,
  LinuxSchedulerPolicy,
  MpolFlag,
  MpolMode,
  type CreateContainerRequest,
} from '../../../generated/nri/v1alpha1/api.js';
import { containerMessage, type ContainerFacts } from '../../../src/nri/adjust/container-message.js';
import { buildContainerSpec } from '../../../src/spec/container-spec.js';
import type { OciSpec } from '../../../src/spec/oci.js';
import type { RuntimeFeatures } from '../../../src/spec/types.js';
import { containerConfig, containerInput, device, mount, type Partially } from '../spec/inputs.js';

/** Adjustments of every field, alone and from several plugins, for the unit tests and the comparison with upstream. */

type Adjust = Partially<typeof ContainerAdjustment>;

export interface Case {
  readonly name: string;
  readonly answers: readonly { readonly plugin: string; readonly response: CreateContainerResponse }[];
  /** Where the spec, or what the next plugin sees, differs from upstream's: crid's value != upstream's. */
  readonly differs?: readonly string[];
}

export const FEATURES: RuntimeFeatures = {
  netDevices: true,
  memoryPolicy: { modes: Object.keys(MpolMode), flags: Object.keys(MpolFlag) },
  rdt: { enabled: true, schemata: true, monitoring: true },
};

export const CONTAINER: ContainerFacts = {
  id: 'c1',
  podId: 'p1',
  config: containerConfig({
    labels: { tier: 'web' },
    annotations: { 'example.com/a': '1' },
    CDI_devices: [{ name: 'vendor.com/net=eth7' }],
  }),
  imageId: 'sha256:config',
  imageName: 'docker.io/library/nginx:1',
  imageDigest: 'sha256:index',
};

/** A spec with something in every member that adjustments change. */
export function richSpec(): OciSpec {
  const spec = buildContainerSpec(
    containerInput({
      config: containerConfig({
        envs: [{ key: 'MODE', value: Buffer.from('fast') }],
        linux: {
          resources: {
            cpu_shares: 512n,
            cpu_quota: 50_000n,
            cpu_period: 100_000n,
            cpuset_cpus: '0-1',
            memory_limit_in_bytes: 1n << 28n,
            hugepage_limits: [{ page_size: '2MB', limit: 1n << 21n }],
            unified: { 'memory.low': '1' },
            oom_score_adj: 500n,
          },
        },
      }),
      mounts: [mount(), mount({ containerPath: '/data/deep/er', hostPath: '/host/deeper' })],
      devices: [device()],
    }),
  );
  return {
    ...spec,
    annotations: { ...spec.annotations, 'example.com/spec': 'one' },
    process: {
      ...spec.process,
      rlimits: [{ type: 'RLIMIT_CORE', hard: 0, soft: 0 }],
      ioPriority: { class: 'IOPRIO_CLASS_BE', priority: 4 },
      scheduler: { policy: 'SCHED_BATCH', nice: 5 },
    },
    hooks: { createRuntime: [{ path: '/bin/before', args: ['before'], env: ['A=1'], timeout: 5 }] },
    linux: {
      ...spec.linux,
      sysctl: { 'net.core.somaxconn': '256' },
      netDevices: { eth5: { name: 'inside5' } },
      intelRdt: { closID: 'silver' },
    },
  };
}

export const createRequest = (spec: OciSpec): CreateContainerRequest => ({
  pod: undefined,
  container: containerMessage(CONTAINER, spec),
});

const answer = (
  plugin: string,
  adjust: Adjust,
  update: Partially<typeof ContainerUpdate>[] = [],
): Case['answers'][0] => ({
  plugin,
  response: CreateContainerResponse.fromPartial({ adjust, update }),
});

const one = (name: string, adjust: Adjust, differs: readonly string[] = []): Case => ({
  name,
  answers: [answer('10-a', adjust)],
  differs,
});
const two = (name: string, first: Adjust, second: Adjust, differs: readonly string[] = []): Case => ({
  name,
  answers: [answer('10-a', first), answer('20-b', second)],
  differs,
});
const value = <T>(of: T): { value: T } => ({ value: of });

export const SINGLE: readonly Case[] = [
  one('nothing', {}),
  one('an annotation', { annotations: { 'example.com/new': 'x', 'example.com/spec': 'two' } }),
  one('an annotation removed', { annotations: { '-example.com/spec': '' } }, [
    'seen.annotations.example.com/spec: absent != "one"',
  ]),
  one('a variable added', { env: [{ key: 'NEW', value: 'a=b' }] }),
  one('a variable changed in its place', { env: [{ key: 'MODE', value: 'slow' }] }),
  one('arguments', { args: ['/bin/other', '-v'] }),
  one('arguments taken over', { args: ['', '/bin/other'] }),
  one('hooks', {
    hooks: {
      prestart: [{ path: '/h/1', args: ['1'], timeout: value(3n) }],
      create_runtime: [{ path: '/h/2', env: ['B=2'] }],
      create_container: [{ path: '/h/3' }],
      start_container: [{ path: '/h/4' }],
      poststart: [{ path: '/h/5' }],
      poststop: [{ path: '/h/6' }],
    },
  }),
  one('a mount', {
    mounts: [{ destination: '/data/deep', type: 'bind', source: '/host/x', options: ['rbind', 'ro', 'rprivate'] }],
  }),
  one('a mount replaced', { mounts: [{ destination: '/data', type: 'tmpfs', source: 'tmpfs', options: ['size=1k'] }] }),
  one('a mount removed', { mounts: [{ destination: '-/data' }] }),
  one('a mount removed and set', {
    mounts: [{ destination: '-/data' }, { destination: '/data', type: 'tmpfs', source: 'tmpfs' }],
  }),
  one('a device', {
    linux: { devices: [{ path: '/dev/new', type: 'c', major: 1n, minor: 7n, uid: value(5), gid: value(6) }] },
  }),
  one('a block device', {
    linux: { devices: [{ path: '/dev/sdz', type: 'b', major: 8n, minor: 0n, file_mode: value(0o640) }] },
  }),
  one('a device replaced', { linux: { devices: [{ path: '/dev/fuse', type: 'c', major: 1n, minor: 3n }] } }),
  one('device rules', {
    linux: {
      resources: {
        devices: [
          { allow: true, type: 'c', major: value(10n), minor: value(200n), access: 'rw' },
          { allow: false, type: 'a', access: 'rwm' },
        ],
      },
    },
  }),
  one('limits', { rlimits: [{ type: 'RLIMIT_NOFILE', hard: 4096n, soft: 1024n }] }),
  one('an unlimited limit', { rlimits: [{ type: 'RLIMIT_MEMLOCK', hard: 2n ** 64n - 1n, soft: 2n ** 64n - 1n }] }),
  one('sysctls', { linux: { sysctl: { 'net.ipv4.ip_forward': '1', 'net.core.somaxconn': '512' } } }),
  one('a sysctl removed', { linux: { sysctl: { '-net.core.somaxconn': '' } } }, [
    'seen.linux.sysctl.net.core.somaxconn: absent != "256"',
  ]),
  one('namespaces', {
    linux: { namespaces: [{ type: 'uts', path: '/run/uts' }, { type: 'cgroup' }, { type: '-ipc' }] },
  }),
  one('a network device', { linux: { net_devices: { eth6: { name: 'inside6' }, eth7: { name: '' } } } }),
  one('a network device removed', { linux: { net_devices: { '-eth5': {} } } }, [
    'seen.linux.net_devices.eth5.name: absent != "inside5"',
  ]),
  one('seccomp', {
    linux: {
      seccomp_policy: {
        default_action: 'SCMP_ACT_ALLOW',
        architectures: ['SCMP_ARCH_X86_64'],
        flags: ['SECCOMP_FILTER_FLAG_LOG'],
        syscalls: [
          {
            names: ['mkdir', 'mkdirat'],
            action: 'SCMP_ACT_ERRNO',
            errno_ret: value(1),
            args: [{ index: 1, value: 2n ** 64n - 1n, value_two: 7n, op: 'SCMP_CMP_MASKED_EQ' }],
          },
        ],
      },
    },
  }),
  one('a scheduler', {
    linux: {
      scheduler: {
        policy: LinuxSchedulerPolicy.SCHED_DEADLINE,
        flags: [LinuxSchedulerFlag.SCHED_FLAG_RESET_ON_FORK, LinuxSchedulerFlag.SCHED_FLAG_RECLAIM],
        runtime: 1_000_000n,
        deadline: 2_000_000n,
        period: 3_000_000n,
      },
    },
  }),
  one('a real-time scheduler', { linux: { scheduler: { policy: LinuxSchedulerPolicy.SCHED_FIFO, priority: 7 } } }),
  one('a scheduler removed', { linux: { scheduler: { policy: LinuxSchedulerPolicy.SCHED_NONE } } }),
  one('an I/O priority', { linux: { io_priority: { class: IOPrioClass.IOPRIO_CLASS_RT, priority: 2 } } }),
  one('an I/O priority removed', { linux: { io_priority: { class: IOPrioClass.IOPRIO_CLASS_NONE, priority: 0 } } }),
  one('a memory policy', {
    linux: {
      memory_policy: { mode: MpolMode.MPOL_BIND, nodes: '0-1', flags: [MpolFlag.MPOL_F_STATIC_NODES] },
    },
  }),
  one('CPU', {
    linux: {
      resources: {
        cpu: {
          shares: value(2048n),
          quota: value(-1n),
          period: value(50_000n),
          realtime_runtime: value(1000n),
          realtime_period: value(10_000n),
          cpus: '3',
          mems: '0',
        },
      },
    },
  }),
  one('a memory limit, which limits swap too', { linux: { resources: { memory: { limit: value(1n << 30n) } } } }),
  one('a memory limit of 0, which changes nothing', { linux: { resources: { memory: { limit: value(0n) } } } }),
  one(
    'huge pages',
    {
      linux: {
        resources: {
          hugepage_limits: [
            { page_size: '2MB', limit: 1n << 30n },
            { page_size: '1GB', limit: 1n << 31n },
          ],
        },
      },
    },
    [
      'seen.linux.resources.hugepage_limits.0.limit: "1073741824" != "2097152"',
      'seen.linux.resources.hugepage_limits.1.limit: "2147483648" != "1073741824"',
      'seen.linux.resources.hugepage_limits.1.page_size: "1GB" != "2MB"',
      'seen.linux.resources.hugepage_limits.2.limit: absent != "2147483648"',
      'seen.linux.resources.hugepage_limits.2.page_size: absent != "1GB"',
    ],
  ),
  one('pids', { linux: { resources: { pids: { limit: 100n } } } }),
  one('unified', { linux: { resources: { unified: { 'memory.low': '2', 'memory.high': '3' } } } }),
  one('an RDT class', { linux: { resources: { rdt_class: value('gold') } } }),
  one('an RDT class cleared', { linux: { resources: { rdt_class: value('') } } }),
  one('RDT', {
    linux: { rdt: { clos_id: value('own'), schemata: value(['L3:0=ff']), enable_monitoring: value(true) } },
  }),
  one('RDT removed', { linux: { rdt: { remove: true } } }),
  one('RDT removed and set', { linux: { rdt: { remove: true, schemata: value(['MB:0=50']) } } }),
  one('a cgroup path', { linux: { cgroups_path: '/other/c1' } }),
  one('an OOM score', { linux: { oom_score_adj: value(-500n) } }),
];

export const MERGED: readonly Case[] = [
  two('different fields', { env: [{ key: 'A', value: '1' }] }, { env: [{ key: 'B', value: '2' }], args: ['/x'] }),
  two('hooks of both', { hooks: { poststop: [{ path: '/1' }] } }, { hooks: { poststop: [{ path: '/2' }] } }),
  two('device rules of both', rule(1n), rule(2n)),
  two(
    'different keys',
    {
      annotations: { a: '1' },
      linux: { sysctl: { 'net.a': '1' }, resources: { unified: { 'memory.high': '9' } } },
      rlimits: [{ type: 'RLIMIT_CPU', hard: 2n, soft: 1n }],
    },
    {
      annotations: { b: '2' },
      linux: { sysctl: { 'net.b': '2' }, resources: { unified: { 'memory.max': '10' } } },
      rlimits: [{ type: 'RLIMIT_AS', hard: 2n, soft: 1n }],
    },
  ),
  two(
    'CPU and memory of different plugins',
    { linux: { resources: { cpu: { shares: value(7n) } } } },
    { linux: { resources: { cpu: { quota: value(8n) }, memory: { limit: value(9n) } } } },
  ),
  two('arguments taken over', { args: ['/a'] }, { args: ['', '/b'] }),
  two('a variable taken over', { env: [{ key: 'A', value: '1' }] }, { env: [{ key: '-A' }, { key: 'A', value: '2' }] }),
  two(
    'a mount taken over',
    { mounts: [{ destination: '/m', type: 'bind', source: '/a' }] },
    { mounts: [{ destination: '-/m' }, { destination: '/m', type: 'bind', source: '/b' }] },
  ),
  two(
    'a mount of a plugin removed',
    { mounts: [{ destination: '/m', source: '/a' }] },
    { mounts: [{ destination: '-/m' }] },
  ),
  two(
    'a device taken over',
    { linux: { devices: [{ path: '/dev/d', type: 'c', major: 1n, minor: 3n }] } },
    { linux: { devices: [{ path: '-/dev/d' }, { path: '/dev/d', type: 'c', major: 1n, minor: 5n }] } },
  ),
  two(
    'RDT taken over',
    { linux: { rdt: { clos_id: value('a') } } },
    { linux: { rdt: { remove: true, clos_id: value('b') } } },
  ),
  two('RDT of both', { linux: { rdt: { clos_id: value('a') } } }, { linux: { rdt: { schemata: value(['L3:0=f']) } } }),
  two('CDI devices that nobody resolves', { CDI_devices: [] }, { CDI_devices: [] }),
  {
    name: 'updates of other containers',
    answers: [
      answer('10-a', {}, [
        { container_id: 'c2', linux: { resources: { cpu: { shares: value(5n) } } } },
        { container_id: 'c3', ignore_failure: true },
      ]),
      answer('20-b', {}, [
        { container_id: 'c2', linux: { resources: { memory: { limit: value(6n) }, unified: { 'memory.low': '3' } } } },
        { container_id: 'c3', ignore_failure: false, linux: { resources: { cpu: { cpus: '0' } } } },
      ]),
    ],
  },
  {
    name: 'an update that conflicts and may fail',
    answers: [
      answer('10-a', {}, [{ container_id: 'c2', linux: { resources: { cpu: { shares: value(5n) } } } }]),
      answer('20-b', {}, [
        { container_id: 'c2', ignore_failure: true, linux: { resources: { cpu: { shares: value(6n) } } } },
      ]),
    ],
  },
];

/** Adjustments that upstream loses or applies otherwise, and what comes of them here. */
export const DIFFERENT: readonly Case[] = [
  one('a variable removed', { env: [{ key: '-MODE' }] }, ['spec.process.env.MODE=fast: absent != 1']),
  one('a device removed, with the access to it', { linux: { devices: [{ path: '-/dev/fuse' }] } }, [
    ...['fileMode: absent != 438', 'gid: absent != 0', 'major: absent != 10', 'minor: absent != 229'].map(
      (line) => `spec.linux.devices."/dev/fuse" null "c" 10 229.${line}`,
    ),
    ...['path: absent != "/dev/fuse"', 'type: absent != "c"', 'uid: absent != 0'].map(
      (line) => `spec.linux.devices."/dev/fuse" null "c" 10 229.${line}`,
    ),
    ...['access: absent != "rw"', 'allow: absent != true', 'major: absent != 10', 'minor: absent != 229'].map(
      (line) => `spec.linux.resources.devices.null true "c" 10 229.${line}`,
    ),
    'spec.linux.resources.devices.null true "c" 10 229.type: absent != "c"',
  ]),
  two('a variable of a plugin removed', { env: [{ key: 'MODE', value: 'x' }] }, { env: [{ key: '-MODE' }] }, [
    'spec.process.env.MODE=fast: absent != 1',
  ]),
  one('values of memory', { linux: { resources: { memory: { reservation: value(5n), swap: value(6n) } } } }, [
    'spec.linux.resources.memory.reservation: 5 != absent',
    'spec.linux.resources.memory.swap: 6 != 268435456',
  ]),
  // Upstream leaves both limits in the spec, of which the comparison takes the last one.
  one('a limit that replaces another', { rlimits: [{ type: 'RLIMIT_CORE', hard: 2n, soft: 1n }] }),
  one(
    'the errno of seccomp',
    {
      linux: { seccomp_policy: { default_action: 'SCMP_ACT_ERRNO', default_errno: value(38) } },
    },
    ['spec.linux.seccomp.defaultErrnoRet: 38 != absent'],
  ),
];

function rule(minor: bigint): Adjust {
  return { linux: { resources: { devices: [{ allow: true, type: 'c', major: value(9n), minor: value(minor) }] } } };
}

/** Two plugins that set one field: upstream refuses all of them. */
export const CONFLICTS: readonly Case[] = (
  [
    ['annotations', { annotations: { a: '1' } }],
    ['mounts', { mounts: [{ destination: '/m' }] }],
    ['env', { env: [{ key: 'A', value: '1' }] }],
    ['args', { args: ['/a'] }],
    ['devices', { linux: { devices: [{ path: '/dev/d', type: 'c' }] } }],
    ['CDI devices', { CDI_devices: [{ name: 'vendor.com/class=one' }] }],
    ['rlimits', { rlimits: [{ type: 'RLIMIT_AS', hard: 2n, soft: 1n }] }],
    ['sysctl', { linux: { sysctl: { 'net.a': '1' } } }],
    ['net devices', { linux: { net_devices: { eth0: { name: 'a' } } } }],
    ['namespaces', { linux: { namespaces: [{ type: 'uts' }] } }],
    ['cgroups path', { linux: { cgroups_path: '/a' } }],
    ['oom score', { linux: { oom_score_adj: value(1n) } }],
    ['io priority', { linux: { io_priority: { class: IOPrioClass.IOPRIO_CLASS_RT } } }],
    ['scheduler', { linux: { scheduler: { policy: LinuxSchedulerPolicy.SCHED_RR } } }],
    ['seccomp', { linux: { seccomp_policy: { default_action: 'SCMP_ACT_ALLOW' } } }],
    ['memory policy', { linux: { memory_policy: { mode: MpolMode.MPOL_LOCAL } } }],
    ['RDT clos', { linux: { rdt: { clos_id: value('a') } } }],
    ['RDT schemata', { linux: { rdt: { schemata: value(['a']) } } }],
    ['RDT monitoring', { linux: { rdt: { enable_monitoring: value(true) } } }],
    ['memory limit', { linux: { resources: { memory: { limit: value(1n) } } } }],
    ['memory reservation', { linux: { resources: { memory: { reservation: value(1n) } } } }],
    ['swap', { linux: { resources: { memory: { swap: value(1n) } } } }],
    ['kernel', { linux: { resources: { memory: { kernel: value(1n) } } } }],
    ['kernel tcp', { linux: { resources: { memory: { kernel_tcp: value(1n) } } } }],
    ['swappiness', { linux: { resources: { memory: { swappiness: value(1n) } } } }],
    ['oom killer', { linux: { resources: { memory: { disable_oom_killer: value(true) } } } }],
    ['hierarchy', { linux: { resources: { memory: { use_hierarchy: value(true) } } } }],
    ['shares', { linux: { resources: { cpu: { shares: value(1n) } } } }],
    ['quota', { linux: { resources: { cpu: { quota: value(1n) } } } }],
    ['period', { linux: { resources: { cpu: { period: value(1n) } } } }],
    ['rt runtime', { linux: { resources: { cpu: { realtime_runtime: value(1n) } } } }],
    ['rt period', { linux: { resources: { cpu: { realtime_period: value(1n) } } } }],
    ['cpus', { linux: { resources: { cpu: { cpus: '0' } } } }],
    ['mems', { linux: { resources: { cpu: { mems: '0' } } } }],
    ['pids', { linux: { resources: { pids: { limit: 1n } } } }],
    ['huge pages', { linux: { resources: { hugepage_limits: [{ page_size: '2MB', limit: 1n }] } } }],
    ['block I/O class', { linux: { resources: { blockio_class: value('a') } } }],
    ['RDT class', { linux: { resources: { rdt_class: value('a') } } }],
    ['unified', { linux: { resources: { unified: { 'memory.low': '1' } } } }],
  ] satisfies [string, Adjust][]
).map(([name, adjust]) => two(name, adjust, adjust));

export const OTHER_CONFLICTS: readonly Case[] = [
  two('args after a removal by another plugin', { args: ['', '/a'] }, { args: ['/b'] }),
  {
    name: 'an update of the container that is being created',
    answers: [answer('10-a', {}, [{ container_id: 'c1' }])],
  },
  {
    name: 'two updates of one field',
    answers: ['10-a', '20-b'].map((plugin) =>
      answer(plugin, {}, [{ container_id: 'c2', linux: { resources: { cpu: { shares: value(5n) } } } }]),
    ),
  },
];
