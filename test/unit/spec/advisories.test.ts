import assert from 'node:assert/strict';
import { test } from 'node:test';
import { ContainerConfig, SupplementalGroupsPolicy } from '../../../generated/runtime/v1/api.js';
import { passedAnnotations } from '../../../src/spec/annotations.js';
import { cdiDeviceNames } from '../../../src/spec/cdi/cdi.js';
import { cgroupDirectory, cgroupsPath } from '../../../src/spec/cgroup-path.js';
import { containerLabels } from '../../../src/spec/container-labels.js';
import { buildContainerSpec } from '../../../src/spec/container-spec.js';
import { containerLogPath } from '../../../src/spec/log-path.js';
import { buildSandboxSpec } from '../../../src/spec/sandbox-spec.js';
import { resolveUser } from '../../../src/spec/user/user.js';
import { validateContainerConfig, validateSandboxConfig } from '../../../src/spec/validate/validate.js';
import { containerConfig, containerInput, podConfig, refusal, sandboxInput } from './inputs.js';

/** Published vulnerabilities of CRI servers, as far as pure functions prevent them. */

const userOf = (input: { imageUser?: string; uid?: bigint; groups?: bigint[] }): unknown =>
  resolveUser({
    username: '',
    uid: input.uid,
    gid: undefined,
    imageUser: input.imageUser ?? '',
    passwd: 'app:x:500:600::/:/bin/sh\nbig:x:4294967295:0::/:/bin/sh',
    group: 'app:x:600:\nlog:x:30:app\n',
    supplementalGroups: input.groups ?? [],
    policy: SupplementalGroupsPolicy.Merge,
  });

test('CVE-2024-40635: ids that would wrap to root are refused, in the request, in USER and in passwd', () => {
  const range = 'is not in 0 to 2147483647';
  assert.deepEqual(
    [
      refusal(() => userOf({ uid: 4294967295n })),
      refusal(() => userOf({ uid: -1n })),
      refusal(() => userOf({ uid: 2147483648n })),
      refusal(() => userOf({ imageUser: '4294967296' })),
      refusal(() => userOf({ imageUser: '1:4294967296' })),
      refusal(() => userOf({ imageUser: '99999999999999999999' })),
      refusal(() => userOf({ imageUser: 'big' })),
      refusal(() => userOf({ uid: 1n, groups: [4294967296n] })),
      refusal(() =>
        validateContainerConfig(
          containerConfig({ linux: { security_context: { run_as_user: { value: 4294967295n } } } }),
        ),
      ),
      refusal(() => validateSandboxConfig(podConfig({ linux: { security_context: { supplemental_groups: [-1n] } } }))),
    ],
    [
      `INVALID_ARGUMENT config.linux.security_context.run_as_user: id 4294967295 ${range}`,
      `INVALID_ARGUMENT config.linux.security_context.run_as_user: id -1 ${range}`,
      `INVALID_ARGUMENT config.linux.security_context.run_as_user: id 2147483648 ${range}`,
      `INVALID_ARGUMENT USER "4294967296" of the image: id 4294967296 ${range}`,
      `INVALID_ARGUMENT USER "1:4294967296" of the image: id 4294967296 ${range}`,
      `INVALID_ARGUMENT USER "99999999999999999999" of the image: id 100000000000000000000 ${range}`,
      `INVALID_ARGUMENT USER "big" of the image: id 4294967295 ${range}`,
      `INVALID_ARGUMENT config.linux.security_context.supplemental_groups: id 4294967296 ${range}`,
      'INVALID_ARGUMENT config.linux.security_context.run_as_user: expected 0 to 2147483647, received 4294967295',
      'INVALID_ARGUMENT config.linux.security_context.supplemental_groups[0]: expected 0 to 2147483647, received -1',
    ],
  );
});

test('CVE-2026-46680: a USER of digits is a number and never a name of passwd, however many digits it has', () => {
  const numbers = ['99999999999999999999', '2147483648', '4294967296', '-1', '+2147483648', `1${'0'.repeat(300)}`];
  const passwd = numbers.map((name) => `${name}:x:0:0::/:/bin/sh\n`).join('');
  const group = numbers.map((name) => `${name}:x:0:\n`).join('');
  const outcome = (imageUser: string): string =>
    refusal(() =>
      resolveUser({
        ...{ username: '', uid: undefined, gid: undefined, imageUser, passwd, group },
        ...{ supplementalGroups: [], policy: SupplementalGroupsPolicy.Merge },
      }),
    );
  const users = [...numbers, ...numbers.map((number) => `1:${number}`)];
  assert.deepEqual(
    users.filter((user) => !outcome(user).startsWith(`INVALID_ARGUMENT USER "${user}" of the image: id `)),
    [],
  );
});

test('CVE-2023-25173: the primary group is the first of the supplementary ones, each once', () => {
  assert.deepEqual(userOf({ imageUser: 'app', groups: [600n, 9n, 9n] }), {
    uid: 500,
    gid: 600,
    additionalGids: [600, 9, 30],
    username: '',
  });
});

test('CVE-2025-0750: a log path cannot leave the directory of its pod', () => {
  const paths = ['../x', 'a/../../x', '/../x', '..', 'a\0b'];
  assert.deepEqual(
    [
      ...paths.map((path) => refusal(() => containerLogPath('/logs/pod', path))),
      refusal(() => containerLogPath('/logs/../etc', 'x')),
    ],
    [
      'INVALID_ARGUMENT config.log_path: "../x" contains ".."',
      'INVALID_ARGUMENT config.log_path: "a/../../x" contains ".."',
      'INVALID_ARGUMENT config.log_path: "/../x" contains ".."',
      'INVALID_ARGUMENT config.log_path: ".." contains ".."',
      'INVALID_ARGUMENT config.log_path: contains a NUL byte',
      'INVALID_ARGUMENT sandbox_config.log_directory: "/logs/../etc" contains ".."',
    ],
  );
});

test('CVE-2022-0811: a sysctl is one namespaced name with one value, and cannot contain a second one', () => {
  const refused = (sysctls: Record<string, string>): string =>
    refusal(() => validateSandboxConfig(podConfig({ linux: { sysctls } })));
  const value = '1+kernel.core_pattern=|/bin/sh';
  const spec = buildSandboxSpec(
    sandboxInput({ pod: podConfig({ linux: { sysctls: { 'net.core.somaxconn': value } } }) }),
  );
  assert.deepEqual(
    [
      refused({ 'kernel.core_pattern': '|/bin/sh' }),
      refused({ 'net.core.somaxconn': '1\nkernel.core_pattern = |/bin/sh' }),
      refused({ 'net.core.somaxconn': '1+kernel.core_pattern' }),
      refused({ 'net.core.somaxconn': '1 kernel.core_pattern=|/bin/sh' }),
      refused({ 'net.core.x+kernel.core_pattern': '1' }),
      refused({ 'net.core.x=1': '1' }),
      refused({ 'net/../kernel/core_pattern': '1' }),
      refused({ 'net.//.kernel.core_pattern': '1' }),
      refused({ 'fs.mqueue.//.//.kernel.core_pattern': '1' }),
      refused({ 'net.': '1' }),
      Object.keys(spec.linux.sysctl ?? {}).sort(),
    ],
    [
      'INVALID_ARGUMENT config.linux.sysctls["kernel.core_pattern"]: is not a namespaced sysctl',
      'INVALID_ARGUMENT config.linux.sysctls["net.core.somaxconn"]: the value contains a line break, NUL, "+" or "="',
      'INVALID_ARGUMENT config.linux.sysctls["net.core.somaxconn"]: the value contains a line break, NUL, "+" or "="',
      'INVALID_ARGUMENT config.linux.sysctls["net.core.somaxconn"]: the value contains a line break, NUL, "+" or "="',
      'INVALID_ARGUMENT config.linux.sysctls["net.core.x+kernel.core_pattern"]: is not the name of a sysctl',
      'INVALID_ARGUMENT config.linux.sysctls["net.core.x=1"]: is not the name of a sysctl',
      'INVALID_ARGUMENT config.linux.sysctls["net/../kernel/core_pattern"]: is not the name of a sysctl',
      'INVALID_ARGUMENT config.linux.sysctls["net.//.kernel.core_pattern"]: is not the name of a sysctl',
      'INVALID_ARGUMENT config.linux.sysctls["fs.mqueue.//.//.kernel.core_pattern"]: is not the name of a sysctl',
      'INVALID_ARGUMENT config.linux.sysctls["net."]: is not the name of a sysctl',
      ['net.core.somaxconn', 'net.ipv4.ip_unprivileged_port_start', 'net.ipv4.ping_group_range'],
    ],
  );
});

test('CVE-2024-3154: no wildcard passes an annotation that becomes a property of the systemd unit', () => {
  const annotations = { 'org.systemd.property.ExecStartPre': "'/bin/sh'", 'org.x': '1' };
  const passed = (...patterns: string[]): string[] => Object.keys(passedAnnotations(annotations, patterns));
  assert.deepEqual(
    [passed('*'), passed('org.*'), passed('org.systemd.*'), passed('org.systemd.property.Exec*')],
    [['org.x'], ['org.x'], [], ['org.systemd.property.ExecStartPre']],
  );
});

test('CVE-2022-4318, CVE-2026-15809: a name of the environment has no control characters, and no passwd is written', () => {
  const env = (key: string, value: string): string =>
    refusal(() => validateContainerConfig(containerConfig({ envs: [{ key, value: Buffer.from(value) }] })));
  const config = containerConfig({ envs: [{ key: 'HOME', value: Buffer.from('/\nroot2::0:0') }] });
  const { process, mounts } = buildContainerSpec(containerInput({ config }));
  assert.deepEqual(
    [
      env('HOME\nroot2::0:0', '1'),
      env('A\u0007', '1'),
      process.env.filter((line) => line.startsWith('HOME')),
      mounts.filter(({ destination }) => destination === '/etc/passwd'),
    ],
    [
      'INVALID_ARGUMENT config.envs[0].key: contains a control character',
      'INVALID_ARGUMENT config.envs[0].key: contains a control character',
      ['HOME=/\nroot2::0:0'],
      [],
    ],
  );
});

test("CVE-2025-47291: a container with a user namespace stays below its pod's cgroup", () => {
  const line = [{ container_id: 0, host_id: 100000, length: 65536 }];
  const linux = { security_context: { namespace_options: { userns_options: { mode: 0, uids: line, gids: line } } } };
  const spec = (cgroup_parent: string): string =>
    buildContainerSpec(
      containerInput({ pod: podConfig({ linux: { ...linux, cgroup_parent } }), config: containerConfig({ linux }) }),
    ).linux.cgroupsPath ?? '';
  const slice = spec('/kubepods.slice/kubepods-pod1.slice');
  assert.deepEqual(
    [
      spec('/kubepods/pod1'),
      cgroupDirectory(slice),
      refusal(() => cgroupsPath('/kubepods/../..', 'c1', { driver: 'cgroupfs', namespace: 'k' })),
    ],
    [
      '/kubepods/pod1/c1',
      '/kubepods.slice/kubepods-pod1.slice/cri-containerd-c1.scope',
      'INVALID_ARGUMENT config.linux.cgroup_parent: "/kubepods/../.." contains ".."',
    ],
  );
});

test('CVE-2026-53488: LABELs of an image never become labels of a container, and reserved labels of containerd are refused', () => {
  const labels = { Labels: { 'containerd.io/restart.loguri': 'binary:///bin/sh' } };
  const image = { config: labels as object };
  const config = containerConfig({ labels: { app: 'x' } });
  const spec = buildContainerSpec(containerInput({ config, image }));
  assert.deepEqual(
    [
      containerLabels(config),
      JSON.stringify(spec).includes('loguri'),
      refusal(() =>
        validateContainerConfig(containerConfig({ labels: { 'containerd.io/restart.status': 'running' } })),
      ),
      refusal(() => validateSandboxConfig(podConfig({ labels: { 'io.cri-containerd.kind': 'container' } }))),
    ],
    [
      { app: 'x' },
      false,
      'INVALID_ARGUMENT config.labels["containerd.io/restart.status"]: is reserved for containerd',
      'INVALID_ARGUMENT config.labels["io.cri-containerd.kind"]: is reserved for containerd',
    ],
  );
});

test('CVE-2026-53492: CDI devices come only from the request', () => {
  const config = ContainerConfig.fromPartial({
    image: { image: 'i', annotations: { 'cdi.k8s.io/x': 'v.io/gpu=0' } },
    labels: { 'cdi.k8s.io/x': 'v.io/gpu=1' },
  });
  assert.deepEqual(cdiDeviceNames(config), []);
});

test('CVE-2021-21334: the specs of two containers from one image share nothing that can be changed', () => {
  const input = containerInput();
  const first = buildContainerSpec(input);
  const second = buildContainerSpec(input);
  first.process.env.push('SECRET=1');
  first.process.args.push('x');
  first.mounts.forEach(({ options }) => options?.push('x'));
  first.linux.resources.devices?.push({ allow: true });
  Object.values(first.process.capabilities ?? {}).forEach((names) => names.push('CAP_SYS_ADMIN'));
  assert.deepEqual([second, buildContainerSpec(input)], [buildContainerSpec(containerInput()), second]);
});
