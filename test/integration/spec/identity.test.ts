import { mkdtemp, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import {
  NamespaceMode,
  SecurityProfile_ProfileType as Profile,
  SupplementalGroupsPolicy,
} from '../../../generated/runtime/v1/api.js';
import { ensureProgram } from '../../../tools/stack/programs.js';
import type { Stack } from '../../../tools/stack/stack.js';
import { isV2 } from '../rpc/cgroup.js';
import { startSuite } from '../rpc/suite.js';
import { context, testImage, testRules, value, type ContainerPart, type Context, type Rule } from './rules.js';

const suite = startSuite();

/** With a separate pid namespace, pid 1 is the container's process and not the pod's. */
const OWN = { namespace_options: { pid: NamespaceMode.CONTAINER } };
const own = (more: Context): ContainerPart => context({ ...OWN, ...more });
const status = (key: string, pid: number | 'self' = 1): string => `grep ^${key}: /proc/${pid}/status | cut -f2`;
const capabilities = (more: Context['capabilities']): ContainerPart => own({ capabilities: more! });

/** Returns a mask of these bits of linux/capability.h. */
const bits = (...numbers: readonly number[]): string =>
  numbers
    .reduce((mask, number) => mask | (1n << BigInt(number)), 0n)
    .toString(16)
    .padStart(16, '0');
/**
 * chown, dac_override, fowner, fsetid, kill, setgid, setuid, setpcap, net_bind_service, net_raw, sys_chroot, mknod,
 * audit_write, setfcap.
 */
const DEFAULT = [0, 1, 3, 4, 5, 6, 7, 8, 10, 13, 18, 27, 29, 31];
const NET_BIND_SERVICE = 10;
const NET_ADMIN = 12;
const permittedOfCrid = async (): Promise<string> =>
  /^CapPrm:\s*(\w+)$/m.exec(await readFile(`/proc/${suite.crid.pid()}/status`, 'utf8'))?.[1] ?? '';

/** Mounts a program of `tools/stack/images` at the root. */
async function programMount(
  stack: Pick<Stack, 'dir' | 'layout'>,
  name: string,
): Promise<{ container_path: string; host_path: string; readonly: true }> {
  const path = join(await mkdtemp(join(stack.dir, 'program-')), name);
  await writeFile(path, await ensureProgram(stack.layout, name), { mode: 0o755 });
  return { container_path: `/${name}`, host_path: path, readonly: true };
}

const groups = (policy: SupplementalGroupsPolicy): ContainerPart => ({
  image: testImage('groups'),
  ...own({ run_as_username: 'app', supplemental_groups: [4000n], supplemental_groups_policy: policy }),
});

const users: Rule[] = [
  { name: 'nothing said: root', config: own({}), command: status('Uid'), expected: '0' },
  {
    name: 'run_as_user, its group from passwd',
    config: own({ run_as_user: value(33) }),
    command: 'id -u; id -g',
    expected: '33\n33',
  },
  {
    name: 'run_as_user that passwd does not know has group 0',
    config: own({ run_as_user: value(1234) }),
    command: 'id -u; id -g',
    expected: '1234\n0',
  },
  {
    name: 'run_as_user and run_as_group',
    config: own({ run_as_user: value(1234), run_as_group: value(4321) }),
    command: 'id -u; id -g',
    expected: '1234\n4321',
  },
  {
    name: 'run_as_username',
    config: own({ run_as_username: 'www-data' }),
    command: 'id -u; id -g',
    expected: '33\n33',
  },
  {
    name: 'run_as_username before the USER of the image',
    config: { image: testImage('user-uid'), ...own({ run_as_username: 'www-data' }) },
    command: 'id -u',
    expected: '33',
  },
  {
    name: 'the process itself has them, not only an exec',
    config: own({ run_as_user: value(1234), run_as_group: value(4321) }),
    command: `${status('Uid')}; ${status('Gid')}`,
    expected: '1234\n4321',
  },
  {
    name: 'supplemental groups, Merge: with those of /etc/group, the primary one first',
    config: groups(SupplementalGroupsPolicy.Merge),
    command: status('Groups'),
    expected: '2000 3000 4000',
  },
  {
    name: 'supplemental groups, Strict: without them',
    config: groups(SupplementalGroupsPolicy.Strict),
    command: status('Groups'),
    expected: '2000 4000',
  },
  ...(
    [
      ['name', '33 33'],
      ['name-and-group', '33 100'],
      ['name-and-gid', '33 4321'],
      ['uid', '1234 0'],
      ['uid-of-name', '33 33'],
      ['uid-and-group', '1234 100'],
      ['uid-and-gid', '1234 4321'],
      ['empty-gid', '1234 0'],
    ] as const
  ).map(([name, ids]) => ({
    name: `USER of the image: ${name}`,
    config: { image: testImage(`user-${name}`), ...own({}) },
    command: 'echo $(id -u) $(id -g)',
    expected: ids,
  })),
];

const privileges: Rule[] = [
  { name: 'fourteen capabilities by default', config: own({}), command: status('CapBnd'), expected: bits(...DEFAULT) },
  {
    name: 'no ambient or inheritable capability by default',
    config: own({}),
    command: `${status('CapAmb')}; ${status('CapInh')}`,
    expected: `${bits()}\n${bits()}`,
  },
  {
    name: 'drop ALL',
    config: capabilities({ drop_capabilities: ['ALL'] }),
    command: `${status('CapBnd')}; ${status('CapEff')}`,
    expected: `${bits()}\n${bits()}`,
  },
  {
    name: 'drop one',
    config: capabilities({ drop_capabilities: ['CHOWN'] }),
    command: status('CapBnd'),
    expected: bits(...DEFAULT.slice(1)),
  },
  {
    name: 'add one',
    config: capabilities({ add_capabilities: ['NET_ADMIN'] }),
    command: status('CapEff'),
    expected: bits(...DEFAULT, NET_ADMIN),
  },
  {
    name: 'drop ALL and add one',
    config: capabilities({ add_capabilities: ['NET_ADMIN'], drop_capabilities: ['ALL'] }),
    command: status('CapBnd'),
    expected: bits(NET_ADMIN),
  },
  {
    name: 'add ALL: all that crid has',
    config: capabilities({ add_capabilities: ['ALL'] }),
    command: status('CapBnd'),
    expected: permittedOfCrid,
  },
  {
    name: 'add ALL but one',
    config: capabilities({ add_capabilities: ['ALL'], drop_capabilities: ['CHOWN'] }),
    command: `${status('CapBnd')} | tail -c 2`,
    expected: 'e',
  },
  {
    name: 'an ambient capability reaches a user other than root',
    config: own({
      run_as_user: value(1234),
      capabilities: { drop_capabilities: ['ALL'], add_ambient_capabilities: ['NET_BIND_SERVICE'] },
    }),
    command: `${status('CapAmb')}; ${status('CapEff')}`,
    expected: `${bits(NET_BIND_SERVICE)}\n${bits(NET_BIND_SERVICE)}`,
  },
  {
    name: 'a user other than root has no effective capability',
    config: own({ run_as_user: value(1234) }),
    command: status('CapEff'),
    expected: bits(),
  },
  { name: 'no_new_privs', config: own({ no_new_privs: true }), command: status('NoNewPrivs'), expected: '1' },
  { name: 'new privileges are allowed without it', config: own({}), command: status('NoNewPrivs'), expected: '0' },
  { name: 'seccomp: nothing asked, nothing filtered', config: own({}), command: status('Seccomp'), expected: '0' },
  {
    name: 'seccomp: RuntimeDefault',
    config: own({ seccomp: { profile_type: Profile.RuntimeDefault } }),
    command: `${status('Seccomp')}; unshare -U true 2>&1 | tail -c 24`,
    expected: '2\nOperation not permitted',
  },
  {
    name: 'seccomp: RuntimeDefault follows from the capabilities',
    config: own({
      capabilities: { add_capabilities: ['SYS_ADMIN'] },
      seccomp: { profile_type: Profile.RuntimeDefault },
      // The default AppArmor profile denies mounts.
      apparmor: { profile_type: Profile.Unconfined },
    }),
    command: 'unshare -m true && echo allowed',
    expected: 'allowed',
  },
  {
    name: 'seccomp: RuntimeDefault refuses sockets of AF_ALG, AF_VSOCK and unknown families',
    config: async ({ suite: { stack } }) => ({
      ...own({ seccomp: { profile_type: Profile.RuntimeDefault } }),
      mounts: [await programMount(stack, 'sockets')],
    }),
    // AF_UNIX, AF_INET, AF_INET6, AF_NETLINK, AF_PACKET; AF_ALG, AF_VSOCK, and two numbers that Linux does not define.
    command: '/sockets 1 2 10 16 17 38 40 46 99',
    expected: [
      ...[1, 2, 10, 16, 17].map((family) => `${family} allowed`),
      ...[38, 40, 46, 99].map((family) => `${family} refused`),
    ].join('\n'),
  },
  {
    name: 'seccomp: without a filter the same sockets are left to the kernel',
    config: async ({ suite: { stack } }) => ({
      ...own({ seccomp: { profile_type: Profile.Unconfined } }),
      mounts: [await programMount(stack, 'sockets')],
    }),
    command: '/sockets 1 38 40 99',
    expected: '1 allowed\n38 allowed\n40 allowed\n99 allowed',
  },
  {
    name: 'seccomp: Unconfined',
    config: own({ seccomp: { profile_type: Profile.Unconfined } }),
    command: status('Seccomp'),
    expected: '0',
  },
  {
    name: 'seccomp: Localhost',
    config: async ({ suite: { stack } }) => {
      const path = join(stack.dir, 'no-mkdir.json');
      const rules = [{ names: ['mkdir', 'mkdirat'], action: 'SCMP_ACT_ERRNO' }];
      await writeFile(path, JSON.stringify({ defaultAction: 'SCMP_ACT_ALLOW', syscalls: rules }));
      return own({ seccomp: { profile_type: Profile.Localhost, localhost_ref: path } });
    },
    command: `${status('Seccomp')}; mkdir /tmp/x`,
    expected: /^2\nmkdir: .*Operation not permitted$/,
  },
  {
    name: 'privileged: every capability',
    pod: 'privileged',
    config: own({ privileged: true }),
    command: status('CapEff'),
    expected: permittedOfCrid,
  },
  {
    name: 'privileged: no filter, whatever is requested',
    pod: 'privileged',
    config: own({ privileged: true, seccomp: { profile_type: Profile.RuntimeDefault } }),
    command: status('Seccomp'),
    expected: '0',
  },
  {
    name: 'privileged: /sys and cgroups can be written',
    pod: 'privileged',
    config: own({ privileged: true }),
    command: `grep -E " /sys(${isV2 ? '/fs/cgroup' : '/fs/cgroup/cpu'})? " /proc/self/mounts | grep -c " rw,"`,
    expected: '2',
  },
  {
    name: 'privileged: the devices of the host',
    pod: 'privileged',
    config: own({ privileged: true }),
    command: 'stat -c %t:%T /dev/loop0 /dev/kmsg',
    expected: '7:0\n1:b',
  },
  {
    name: 'not privileged: none of them',
    config: own({}),
    // The OCI runtime creates /dev/core if the kernel has /proc/kcore.
    command: 'ls /dev | grep -vx core',
    expected: 'fd\nfull\nmqueue\nnull\nptmx\npts\nrandom\nshm\nstderr\nstdin\nstdout\ntty\nurandom\nzero',
  },
  {
    name: 'a container in a privileged pod is not privileged by itself',
    pod: 'privileged',
    config: own({}),
    command: status('CapBnd'),
    expected: bits(...DEFAULT),
  },
];

testRules(suite, [...users, ...privileges], { privileged: { linux: { security_context: { privileged: true } } } });
