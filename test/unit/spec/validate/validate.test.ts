import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { ContainerConfig, PodSandboxConfig } from '../../../../generated/runtime/v1/api.js';
import { validateContainerConfig, validateSandboxConfig } from '../../../../src/spec/validate/validate.js';
import { containerConfig, podConfig, refusal, type Partially } from '../inputs.js';

const pod = (config: Partially<typeof PodSandboxConfig>): string =>
  refusal(() => validateSandboxConfig(podConfig(config))).replace('INVALID_ARGUMENT ', '');
const container = (config: Partially<typeof ContainerConfig>): string =>
  refusal(() => validateContainerConfig(containerConfig(config))).replace('INVALID_ARGUMENT ', '');
const value = (text: string | Uint8Array): Buffer => Buffer.from(text as string);
/** A number that the wire can carry but that the enum does not define. */
const unknown = (number: number): never => number as never;
const id = (number: number): { value: bigint } => ({ value: BigInt(number) });

test('the requests of a kubelet are valid', () => {
  assert.deepEqual(
    [
      pod({
        dns_config: { servers: ['10.0.0.10'], searches: ['a.svc'], options: ['ndots:5'] },
        port_mappings: [{ protocol: 1, container_port: 53, host_port: 0, host_ip: '::1' }],
        labels: { app: 'x' },
        linux: {
          cgroup_parent: '/kubepods/besteffort/pod1',
          sysctls: { 'net.core.somaxconn': '1024' },
          security_context: { namespace_options: { pid: 1 }, seccomp: { profile_type: 0 } },
          overhead: {},
          resources: { cpu_period: 100000n, cpu_shares: 2n },
        },
      }),
      container({
        envs: [{ key: 'KUBERNETES_PORT', value: value('tcp://10.0.0.1:443') }],
        mounts: [
          { container_path: '/etc/hosts', host_path: '/var/lib/kubelet/pods/1/etc-hosts' },
          { container_path: '/img', image: { image: 'sha256:2' }, image_sub_path: 'a/b', readonly: true },
        ],
        devices: [{ container_path: '/dev/fuse', host_path: '/dev/fuse', permissions: 'mrw' }],
        log_path: 'nginx/0.log',
        linux: {
          resources: {
            cpu_shares: 2n,
            oom_score_adj: 1000n,
            cpuset_cpus: '0-3,7',
            unified: { 'memory.oom.group': '1' },
          },
          security_context: {
            run_as_user: id(0),
            run_as_group: id(2 ** 31 - 1),
            capabilities: { drop_capabilities: ['ALL'] },
            masked_paths: ['/proc/kcore'],
            apparmor: { profile_type: 2, localhost_ref: 'mine' },
          },
        },
      }),
    ],
    ['nothing thrown', 'nothing thrown'],
  );
});

test('values that the API server, containerd and runc accept are accepted', () => {
  const mount = { container_path: '/srv/../data', host_path: '/var/lib/../tmp' };
  const device = { container_path: '/dev/../dev/x', host_path: '/dev/../dev/null', permissions: 'r' };
  const taken = {
    dns: pod({
      dns_config: { servers: ['10.0.0.10'], searches: ['.'], options: ['timeout:1 attempts:3', 'x\ty', ''] },
    }),
    hostname: pod({ hostname: 'a b' }),
    'no hostname on the node': pod({
      hostname: '',
      linux: { security_context: { namespace_options: { network: 2 } } },
    }),
    domainname: pod({ linux: { sysctls: { 'kernel.domainname': 'nis.example' } } }),
    'an address without a port of the host': pod({ port_mappings: [{ container_port: 80, host_ip: 'localhost' }] }),
    annotation: pod({ annotations: { a: 'x\0y' } }),
    'working directory': container({ working_dir: '/usr/../tmp' }),
    mount: container({ mounts: [mount, { ...mount, container_path: 'relative' }] }),
    device: container({ devices: [device, { ...device, container_path: '' }, { ...device, container_path: 'dev/y' }] }),
    capability: container({
      linux: { security_context: { capabilities: { add_capabilities: ['FLY'], drop_capabilities: ['SWIM'] } } },
    }),
    'masked path': container({ linux: { security_context: { masked_paths: ['/proc/../proc/kcore'] } } }),
    'seccomp file': container({
      linux: { security_context: { seccomp: { profile_type: 2, localhost_ref: '/var/lib/../p.json' } } },
    }),
    quota: container({
      linux: { resources: { cpu_quota: -5n, cpuset_cpus: '0-1, 3', unified: { 'memory.high': '1\t2' } } },
    }),
  };
  assert.deepEqual(
    Object.entries(taken).filter(([, said]) => said !== 'nothing thrown'),
    [],
  );
});

test('an invalid pod is refused by the name of its field', () => {
  assert.deepEqual(
    [
      refusal(() => validateSandboxConfig({ ...podConfig(), metadata: undefined })),
      pod({ metadata: { name: '' } }),
      pod({ windows: {} }),
      pod({ hostname: 'a\nb' }),
      pod({ hostname: 'x'.repeat(65) }),
      pod({ linux: { security_context: { namespace_options: { network: 2 } } } }),
      pod({ log_directory: 'logs' }),
      pod({ log_directory: '/logs/../etc' }),
      pod({ dns_config: { searches: ['a\nnameserver 6.6.6.6'] } }),
      pod({ port_mappings: [{ host_port: 65536 }] }),
      pod({ port_mappings: [{ protocol: unknown(3) }] }),
      pod({ port_mappings: [{ host_port: 80, host_ip: 'localhost' }] }),
      pod({ annotations: { big: 'x'.repeat(2 ** 20) } }),
      pod({ labels: { long: 'x'.repeat(4096) } }),
      pod({ linux: { cgroup_parent: '/a/../../b' } }),
      pod({ linux: { cgroup_parent: 'a:b' } }),
      pod({ linux: { security_context: { run_as_group: id(1) } } }),
      pod({ hostname: '', linux: { security_context: { namespace_options: { network: unknown(4) } } } }),
      pod({ linux: { security_context: { namespace_options: { ipc: 3 } } } }),
      pod({ linux: { security_context: { namespace_options: { pid: 3 } } } }),
      pod({ linux: { security_context: { supplemental_groups_policy: unknown(2) } } }),
      pod({ linux: { security_context: { seccomp: { profile_type: 2, localhost_ref: 'p.json' } } } }),
      pod({ linux: { resources: { memory_limit_in_bytes: -2n } } }),
    ],
    [
      'INVALID_ARGUMENT config.metadata: must be given',
      'config.metadata.name: must not be empty',
      'config.windows: is not supported on Linux',
      'config.hostname: contains a control character',
      'config.hostname: longer than 64 bytes',
      "config.hostname: must be empty for a pod on the host's network",
      'config.log_directory: must be absolute',
      'config.log_directory: "/logs/../etc" contains ".."',
      'config.dns_config.searches[0]: contains a line break',
      'config.port_mappings[0].host_port: expected 0 to 65535, received 65536',
      'config.port_mappings[0].protocol: unknown value 3',
      'config.port_mappings[0].host_ip: "localhost" is not an IP address',
      'config.annotations: 1048579 bytes in total, more than 524288',
      'config.labels["long"]: key and value are 4100 bytes, more than 4096',
      'config.linux.cgroup_parent: "/a/../../b" contains ".."',
      'config.linux.cgroup_parent: contains ":" or a control character',
      'config.linux.security_context.run_as_group: is given without a user',
      'config.linux.security_context.namespace_options.network: unknown value 4',
      'config.linux.security_context.namespace_options.ipc: TARGET is for pid only',
      'config.linux.security_context.namespace_options.pid: TARGET is for containers only',
      'config.linux.security_context.supplemental_groups_policy: unknown value 2',
      'config.linux.security_context.seccomp.localhost_ref: "p.json" is not an absolute path',
      'config.linux.resources.memory_limit_in_bytes: expected -1 or more, received -2',
    ],
  );
});

test('an invalid container is refused by the name of its field', () => {
  assert.deepEqual(
    [
      refusal(() => validateContainerConfig({ ...containerConfig(), metadata: undefined })),
      container({ image: { image: '' } }),
      container({ working_dir: 'srv' }),
      container({ log_path: '../x' }),
      container({ stop_signal: unknown(66) }),
      container({ CDI_devices: [{ name: 'x' }] }),
      container({ linux: { security_context: { run_as_username: 'a:b' } } }),
      container({ linux: { security_context: { masked_paths: ['proc'] } } }),
      container({ linux: { security_context: { namespace_options: { pid: 3 } } } }),
      container({ linux: { security_context: { selinux_options: { level: 'x' } } } }),
      container({ linux: { resources: { oom_score_adj: 1001n } } }),
      container({ linux: { resources: { cpuset_cpus: '0\n1' } } }),
      container({ linux: { resources: { unified: { '../memory.max': '1' } } } }),
      container({ linux: { resources: { hugepage_limits: [{ page_size: '../2MB' }] } } }),
    ],
    [
      'INVALID_ARGUMENT config.metadata: must be given',
      'config.image.image: must be given',
      'config.working_dir: "srv" is not an absolute path',
      'config.log_path: "../x" contains ".."',
      'config.stop_signal: unknown value 66',
      'config.CDI_devices[0].name: "x" is not a qualified device name (vendor/class=device)',
      'config.linux.security_context.run_as_username: "a:b" contains ":"',
      'config.linux.security_context.masked_paths[0]: "proc" is not an absolute path',
      'config.linux.security_context.namespace_options.target_id: must be given with TARGET',
      'config.linux.security_context.selinux_options.level: "x" is not a level such as s0:c1,c2',
      'config.linux.resources.oom_score_adj: expected -1000 to 1000, received 1001',
      'config.linux.resources.cpuset_cpus: expected a list such as 0-3,7, received "0\n1"',
      'config.linux.resources.unified["../memory.max"]: is not the name of a cgroup file',
      'config.linux.resources.hugepage_limits[0].page_size: expected such as 2MB, received "../2MB"',
    ],
  );
});

test('contradictory mounts and devices are refused by the name of their field', () => {
  const mount = (one: object): string => container({ mounts: [{ container_path: '/d', host_path: '/h', ...one }] });
  const device = (one: object): string =>
    container({ devices: [{ container_path: '/dev/x', host_path: '/dev/x', permissions: 'rw', ...one }] });
  const image = { image: 'i' };
  assert.deepEqual(
    [
      mount({ container_path: '' }),
      mount({ host_path: '' }),
      mount({ host_path: 'h' }),
      mount({ propagation: 3 }),
      mount({ image_sub_path: 'x' }),
      mount({ image }),
      mount({ host_path: '', image }),
      mount({ host_path: '', image, readonly: true, image_sub_path: '../x' }),
      mount({ host_path: '', image, readonly: true, image_sub_path: '/x' }),
      mount({ host_path: '', image, readonly: true, mount_options: ['nodev'] }),
      mount({ mount_options: ['nosuid', 'nodev', 'noexec'] }),
      mount({ mount_options: ['nodev', 'exec'] }),
      mount({ mount_options: [''] }),
      mount({ mount_options: ['nodev', 'nosuid', 'nodev'] }),
      mount({ recursive_read_only: true }),
      mount({ recursive_read_only: true, readonly: true, propagation: 1 }),
      mount({ uidMappings: [{ length: 0 }] }),
      device({ host_path: 'dev/x' }),
      device({ permissions: 'rx' }),
      device({ permissions: '' }),
      device({ container_path: '' }),
    ],
    [
      'config.mounts[0].container_path: must be given',
      'config.mounts[0].host_path: "" is not an absolute path',
      'config.mounts[0].host_path: "h" is not an absolute path',
      'config.mounts[0].propagation: unknown value 3',
      'config.mounts[0].image_sub_path: the mount has no image',
      'config.mounts[0].host_path: must be empty for a mount of an image',
      'config.mounts[0].readonly: must be true for a mount of an image',
      'config.mounts[0].image_sub_path: "../x" contains ".."',
      'config.mounts[0].image_sub_path: must be relative',
      'config.mounts[0].mount_options: must be empty for a mount of an image',
      'nothing thrown',
      'config.mounts[0].mount_options[1]: expected one of noexec, nodev, nosuid, received "exec"',
      'config.mounts[0].mount_options[0]: expected one of noexec, nodev, nosuid, received ""',
      'config.mounts[0].mount_options[2]: "nodev" is given twice',
      'config.mounts[0].recursive_read_only: the mount is not readonly',
      'config.mounts[0].recursive_read_only: needs private propagation',
      'config.mounts[0].uidMappings[0].length: expected 1 or more, received 0',
      'config.devices[0].host_path: "dev/x" is not an absolute path',
      'config.devices[0].permissions: expected some of "rwm", received "rx"',
      'config.devices[0].permissions: expected some of "rwm", received ""',
      'nothing thrown',
    ],
  );
});

test('NUL bytes are refused in every field', () => {
  assert.deepEqual(
    [
      pod({ metadata: { name: 'a\0b' } }),
      pod({ labels: { 'a\0': '1' } }),
      container({ command: ['a', 'b\0'] }),
      container({ envs: [{ key: 'A', value: value('x\0') }] }),
      container({ mounts: [{ container_path: '/a\0', host_path: '/h' }] }),
    ],
    [
      'config.metadata.name: contains a NUL byte',
      'key of config.labels: contains a NUL byte',
      'config.command[1]: contains a NUL byte',
      'config.envs[0].value: contains a NUL byte',
      'config.mounts[0].container_path: contains a NUL byte',
    ],
  );
});

test('environment: ten thousand variables are accepted, and those that exec would refuse are not', () => {
  const many = Array.from({ length: 10_000 }, (_, index) => ({ key: `V${index}`, value: value('x'.repeat(100)) }));
  assert.deepEqual(
    [
      container({ envs: many }),
      container({ envs: [{ key: 'A', value: value('x'.repeat(131_072)) }] }),
      container({ envs: [{ key: '', value: value('') }] }),
      container({ envs: [{ key: 'A=B', value: value('') }] }),
      container({ envs: [{ key: 'A', value: value(Uint8Array.of(0xff)) }] }),
    ],
    [
      'nothing thrown',
      'config.envs[0]: 131074 bytes, more than 131071',
      'config.envs[0].key: must not be empty',
      'config.envs[0].key: "A=B" contains "="',
      'config.envs[0].value: is not UTF-8, so an OCI spec cannot contain it',
    ],
  );
});
