import { existsSync } from 'node:fs';
import { mkdir, mkdtemp, readdir, readlink, rmdir, stat, symlink, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { after } from 'node:test';
import { NamespaceMode } from '../../../generated/runtime/v1/api.js';
import type { OciSpec } from '../../../src/spec/oci.js';
import { cgroupParent } from '../../../tools/stack/cgroup-driver.js';
import { run } from '../../../tools/stack/exec.js';
import { SHARED_PIDS } from '../../harness/sandboxer.js';
import { isV2 } from '../rpc/cgroup.js';
import { startSuite } from '../rpc/suite.js';
import {
  context,
  testImage,
  testRules,
  value,
  type ContainerPart,
  type PodPart,
  type Rule,
  type Scene,
} from './rules.js';

const { POD, CONTAINER, NODE, TARGET } = NamespaceMode;

/** crid with a handler that has a base spec, one that passes annotations, and CDI specs of this test. */
const suite = startSuite({
  crid: async ({ dir, runcPath }) => {
    const base = await mkdtemp(join(dir, 'spec-'));
    const [etc, run] = [join(base, 'etc-cdi'), join(base, 'run-cdi')];
    await Promise.all([mkdir(etc), mkdir(run)]);
    await writeFile(join(base, 'mounted'), 'by CDI');
    await writeFile(join(etc, 'gpu.yaml'), cdiYaml(base, 'from-etc'));
    await writeFile(join(run, 'gpu.json'), cdiJson('from-run'));
    await writeFile(join(etc, 'broken.yaml'), 'kind: [');
    const rlimits = [{ type: 'RLIMIT_NOFILE', soft: 512, hard: 768 }];
    await writeFile(join(base, 'base.json'), JSON.stringify({ ociVersion: '1.0.2', process: { rlimits } }));
    const runc = { runtime_type: 'io.containerd.runc.v2', options: { BinaryName: runcPath } };
    return {
      config: {
        runtime: {
          cdi_spec_dirs: [etc, run],
          device_ownership_from_security_context: true,
          containerd: {
            runtimes: {
              based: { ...runc, base_runtime_spec: join(base, 'base.json') },
              passing: { ...runc, container_annotations: ['example.com/*'], pod_annotations: ['pod.example.com/*'] },
            },
          },
        },
      },
    };
  },
});

const cdiYaml = (base: string, who: string): string => `cdiVersion: "0.6.0"
kind: vendor.example/gpu
containerEdits:
  env: [SHARED=${who}]
devices:
  - name: one
    containerEdits:
      env: [ONE=${who}]
      deviceNodes: [{ path: /dev/cdi-full, hostPath: /dev/full, permissions: r }]
      mounts: [{ hostPath: ${base}/mounted, containerPath: /cdi/mounted, options: [ro, bind] }]
  - name: two
    containerEdits: { env: [TWO=${who}], additionalGids: [7777] }
`;
const cdiJson = (who: string): string =>
  JSON.stringify({
    cdiVersion: '0.6.0',
    kind: 'vendor.example/gpu',
    devices: [{ name: 'two', containerEdits: { env: [`TWO=${who}`] } }],
  });

const MIB = 1024 * 1024;
const HOST_ID = 1_000_000;
const mapping = [{ host_id: HOST_ID, container_id: 0, length: 65_536 }];
const userns = { mode: POD, uids: mapping, gids: mapping };
const namespaces = (options: NonNullable<PodPart['linux']>['security_context']): PodPart => ({
  linux: { security_context: options! },
});
const inUserns = context({ namespace_options: { userns_options: userns } });
const inHostnetUserns = context({ namespace_options: { userns_options: userns, network: NODE } });
type Resources = NonNullable<NonNullable<ContainerPart['linux']>['resources']>;
const resources = (more: Resources): ContainerPart => ({ linux: { resources: more } });
const file = (controller: string, name: string): string => `cat /sys/fs/cgroup/${controller}/${name}`;
const shared = (kind: string): string => `readlink /proc/self/ns/${kind}`;
const ofHost = (kind: string) => (): Promise<string> => readlink(`/proc/self/ns/${kind}`);
const ofPod =
  (kind: string) =>
  async ({ pod }: Scene): Promise<string> => {
    const { info } = await suite.crid.runtime.podSandboxStatus({ pod_sandbox_id: pod.id, verbose: true });
    const { pid, runtimeSpec } = JSON.parse(info['info'] ?? '') as { pid: number; runtimeSpec: OciSpec };
    if (pid > 0) return readlink(`/proc/${pid}/ns/${kind}`);
    const type = kind === 'net' ? 'network' : kind;
    const bound = runtimeSpec.linux.namespaces.find((namespace) => namespace.type === type)?.path;
    return `${kind}:[${(await stat(bound ?? 'no binding')).ino}]`;
  };
const v1 = { skip: isV2 && 'reads the files of cgroup v1; test/vm/cgroups has those of v2' };
const SWAP_LIMIT = 'memory.memsw.limit_in_bytes';
const v1Swap = {
  skip: v1.skip || (!existsSync(`/sys/fs/cgroup/memory/${SWAP_LIMIT}`) && 'this kernel counts no swap'),
};

const cgroups: Rule[] = [
  {
    name: 'memory limit',
    config: resources({ memory_limit_in_bytes: BigInt(64 * MIB) }),
    command: file('memory', 'memory.limit_in_bytes'),
    expected: String(64 * MIB),
    ...v1,
  },
  {
    name: 'a memory limit without a swap limit: no swap',
    config: resources({ memory_limit_in_bytes: BigInt(64 * MIB) }),
    command: file('memory', SWAP_LIMIT),
    expected: String(64 * MIB),
    ...v1Swap,
  },
  {
    name: 'CPU shares',
    config: resources({ cpu_shares: 300n }),
    command: file('cpu', 'cpu.shares'),
    expected: '300',
    ...v1,
  },
  {
    name: 'CPU quota and period',
    config: resources({ cpu_quota: 25_000n, cpu_period: 50_000n }),
    command: `${file('cpu', 'cpu.cfs_quota_us')}; ${file('cpu', 'cpu.cfs_period_us')}`,
    expected: '25000\n50000',
    ...v1,
  },
  {
    name: 'cpuset',
    config: resources({ cpuset_cpus: '0', cpuset_mems: '0' }),
    command: `${file('cpuset', 'cpuset.cpus')}; ${file('cpuset', 'cpuset.mems')}`,
    expected: '0\n0',
    ...v1,
  },
  {
    name: 'huge pages without a controller are tolerated',
    config: resources({ hugepage_limits: [{ page_size: '2MB', limit: BigInt(2 * MIB) }] }),
    command: 'echo runs',
    expected: 'runs',
  },
  {
    name: 'oom_score_adj, no lower than crid’s own',
    config: resources({ oom_score_adj: 321n }),
    command: 'cat /proc/self/oom_score_adj',
    expected: '321',
  },
  {
    name: 'without a parent: below the namespace',
    command: 'grep cpuset /proc/self/cgroup | cut -d: -f3',
    expected: /^\/k8s\.io\/[0-9a-f]{64}$/,
    ...v1,
  },
  {
    name: 'below the parent of the pod',
    pod: 'parent',
    command: 'grep cpuset /proc/self/cgroup | cut -d: -f3',
    expected: /^\/crid-test-parent\/[0-9a-f]{64}$/,
    ...v1,
  },
  {
    name: 'a container with a user namespace is below the parent of its pod too',
    pod: 'parent userns',
    config: inUserns,
    command: 'grep cpuset /proc/self/cgroup | cut -d: -f3',
    expected: /^\/crid-test-parent\/[0-9a-f]{64}$/,
    ...v1,
  },
];

const kinds: Rule[] = [
  ...['net', 'ipc', 'uts'].map((kind) => ({
    name: `the ${kind} namespace is the pod’s`,
    command: shared(kind),
    expected: ofPod(kind),
  })),
  {
    name: 'processes of the pod',
    pod: 'shared pids',
    command: 'cat /proc/1/comm',
    expected: 'pause',
    config: context({ namespace_options: { pid: POD } }),
  },
  {
    name: 'processes of its own',
    command: 'cat /proc/1/comm',
    expected: 'sh',
    config: context({ namespace_options: { pid: CONTAINER } }),
  },
  {
    name: 'processes of the node',
    pod: 'node pid',
    config: context({ namespace_options: { pid: NODE } }),
    command: shared('pid'),
    expected: ofHost('pid'),
  },
  {
    name: 'network and name of the node',
    pod: 'node net',
    config: context({ namespace_options: { network: NODE } }),
    command: `${shared('net')}; ${shared('uts')}`,
    expected: async () => `${await ofHost('net')()}\n${await ofHost('uts')()}`,
  },
  {
    name: 'IPC of the node',
    pod: 'node ipc',
    config: context({ namespace_options: { ipc: NODE } }),
    command: shared('ipc'),
    expected: ofHost('ipc'),
  },
  {
    name: 'processes of another container',
    config: async ({ pod }) =>
      context({
        namespace_options: {
          pid: TARGET,
          target_id: await pod.run({
            command: ['sleep', '4321'],
            ...context({ namespace_options: { pid: CONTAINER } }),
          }),
        },
      }),
    command: 'tr "\\0" " " < /proc/1/cmdline',
    expected: 'sleep 4321',
  },
  {
    name: 'sysctls of the pod',
    pod: 'sysctls',
    command: 'cat /proc/sys/net/ipv4/ip_forward /proc/sys/kernel/shm_rmid_forced /proc/sys/kernel/domainname',
    expected: '1\n1\nnis.example',
  },
  { name: 'everyone may use low ports', command: 'cat /proc/sys/net/ipv4/ip_unprivileged_port_start', expected: '0' },
  { name: 'everyone may ping', command: 'cat /proc/sys/net/ipv4/ping_group_range', expected: '0\t2147483647' },
];

const userNamespaces: Rule[] = [
  {
    name: 'user namespace: its mappings',
    pod: 'userns',
    config: inUserns,
    command: "awk '{print $1, $2, $3}' /proc/self/uid_map /proc/self/gid_map",
    expected: `0 ${HOST_ID} 65536\n0 ${HOST_ID} 65536`,
  },
  {
    name: 'user namespace: root owns the image’s files and the pod’s',
    pod: 'userns',
    config: inUserns,
    command: 'stat -c %u:%g / /bin /etc/hosts /etc/hostname /etc/resolv.conf /dev/shm',
    expected: Array(6).fill('0:0').join('\n'),
  },
  {
    name: 'user namespace: its network sysctls are its own',
    pod: 'userns',
    config: inUserns,
    command: 'cat /proc/sys/net/ipv4/ip_forward',
    expected: '1',
  },
  {
    name: 'user namespace: a volume with mappings',
    pod: 'userns',
    config: async ({ suite: { stack } }) => {
      const host_path = await mkdtemp(join(stack.dir, 'volume-'));
      return {
        ...inUserns,
        mounts: [{ container_path: '/volume', host_path, uidMappings: mapping, gidMappings: mapping }],
      };
    },
    command:
      'touch /volume/new; stat -c %u:%g /volume /volume/new; grep -c idmapped /proc/self/mounts | grep -qv "^0$" && echo idmapped',
    expected: '0:0\n0:0\nidmapped',
  },
  {
    name: 'user namespace: VOLUMEs of the image keep their owners',
    pod: 'userns',
    config: { ...inUserns, image: testImage('volumes') },
    command: 'stat -c %u:%g /data /data/file',
    expected: '33:100\n33:100',
  },
  {
    name: 'user namespace: an image as a volume',
    pod: 'userns',
    config: {
      ...inUserns,
      mounts: [
        {
          container_path: '/image',
          image: testImage('volumes'),
          readonly: true,
          uidMappings: mapping,
          gidMappings: mapping,
        },
      ],
    },
    command: 'stat -c %u:%g /image /image/data',
    expected: '0:0\n33:100',
  },
  {
    name: 'user namespace: an image of many layers as a volume',
    pod: 'userns',
    config: { ...inUserns, mounts: [{ container_path: '/image', image: testImage('many-layers'), readonly: true }] },
    command: 'stat -c %u:%g /image/layer-0 /image/layer-11',
    expected: '0:0\n0:0',
  },
  {
    name: 'user namespace: a user other than root',
    pod: 'userns',
    config: context({ run_as_user: value(33), namespace_options: { userns_options: userns } }),
    command: 'echo out; id -u',
    expected: 'out\n33',
  },
  {
    name: 'user namespace on the node’s network: /sys is bound, read-only',
    pod: 'node net userns',
    config: inHostnetUserns,
    command: `${shared('net')}; grep " /sys " /proc/self/mounts | grep -o "ro,"`,
    expected: async () => `${await ofHost('net')()}\nro,`,
  },
];

const device = (host_path: string, container_path: string, permissions = 'rwm'): ContainerPart => ({
  devices: [{ host_path, container_path, permissions }],
});
const devices: Rule[] = [
  {
    name: 'a device',
    config: device('/dev/loop0', '/dev/mine'),
    command: 'stat -c "%F %t:%T" /dev/mine',
    expected: 'block special file 7:0',
  },
  {
    name: 'a device without permission to write',
    // Not /dev/full or similar: runc lets every container write to those.
    config: device('/dev/loop0', '/dev/mine', 'r'),
    command: 'true < /dev/mine && echo opened; true > /dev/mine && echo written',
    expected: /^opened\nsh: .*\/dev\/mine: Operation not permitted$/,
  },
  {
    name: 'a device behind a link',
    config: async ({ suite: { stack } }) => {
      const path = join(await mkdtemp(join(stack.dir, 'device-')), 'link');
      await symlink('/dev/full', path);
      return device(path, '/dev/mine');
    },
    command: 'stat -c %t:%T /dev/mine',
    expected: '1:7',
  },
  {
    name: 'a directory of devices, and what lies below it',
    config: async ({ suite: { stack } }) => {
      const dir = await mkdtemp(join(stack.dir, 'device-'));
      await mkdir(join(dir, 'below'));
      await run('mknod', [join(dir, 'a'), 'c', '1', '7']);
      await run('mknod', [join(dir, 'below', 'b'), 'c', '1', '5']);
      return device(dir, '/dev/many');
    },
    command: 'stat -c "%n %t:%T" /dev/many/a /dev/many/below/b',
    expected: '/dev/many/a 1:7\n/dev/many/below/b 1:5',
  },
  {
    name: 'a directory of devices, in every spelling of its path',
    config: async ({ suite: { stack } }) => {
      const dir = await mkdtemp(join(stack.dir, 'device-'));
      await run('mknod', [join(dir, 'full'), 'c', '1', '7']);
      return device(`${dir.replace(/^/, '/.')}//`, '/dev/many');
    },
    command: 'stat -c "%n %t:%T" /dev/many/*',
    expected: '/dev/many/full 1:7',
  },
  {
    name: 'a device belongs to the user of the security context, if configured',
    config: {
      ...device('/dev/loop0', '/dev/mine'),
      ...context({ run_as_user: value(1234), run_as_group: value(4321) }),
    },
    command: 'stat -c %u:%g /dev/mine',
    expected: '1234:4321',
  },
  {
    name: 'CDI: environment, a device, a mount; edits for all devices of a spec',
    config: { CDI_devices: [{ name: 'vendor.example/gpu=one' }] },
    command: 'echo $SHARED $ONE; stat -c %t:%T /dev/cdi-full; cat /cdi/mounted',
    expected: 'from-etc from-etc\n1:7\nby CDI',
  },
  {
    name: 'CDI: by an annotation',
    config: { annotations: { 'cdi.k8s.io/test': 'vendor.example/gpu=one' } },
    command: 'echo $ONE',
    expected: 'from-etc',
  },
  {
    name: 'CDI: a later directory overrides an earlier one',
    config: { CDI_devices: [{ name: 'vendor.example/gpu=two' }] },
    command: 'echo $TWO',
    expected: 'from-run',
  },
  { name: 'rlimits of a base spec', pod: 'based', command: 'ulimit -Sn; ulimit -Hn', expected: '512\n768' },
];

testRules(suite, [...cgroups, ...kinds, ...userNamespaces, ...devices], {
  parent: { linux: { cgroup_parent: cgroupParent('crid-test-parent') } },
  'parent userns': {
    linux: {
      cgroup_parent: cgroupParent('crid-test-parent'),
      ...namespaces({ namespace_options: { userns_options: userns } }).linux,
    },
  },
  'shared pids': SHARED_PIDS,
  'node pid': namespaces({ namespace_options: { pid: NODE } }),
  'node net': namespaces({ namespace_options: { network: NODE } }),
  'node ipc': namespaces({ namespace_options: { ipc: NODE } }),
  sysctls: {
    linux: {
      sysctls: { 'net.ipv4.ip_forward': '1', 'kernel.shm_rmid_forced': '1', 'kernel.domainname': 'nis.example' },
    },
  },
  userns: {
    linux: {
      sysctls: { 'net.ipv4.ip_forward': '1' },
      ...namespaces({ namespace_options: { userns_options: userns } }).linux,
    },
  },
  'node net userns': namespaces({ namespace_options: { userns_options: userns, network: NODE } }),
  based: { handler: 'based' },
});

/**
 * The client that names a cgroup parent must remove it, as a kubelet does. The suite's hook runs first and has removed
 * the pods.
 */
after(async () => {
  for (const hierarchy of ['', ...(await readdir('/sys/fs/cgroup'))]) {
    await rmdir(join('/sys/fs/cgroup', hierarchy, 'crid-test-parent')).catch(() => undefined);
  }
});
