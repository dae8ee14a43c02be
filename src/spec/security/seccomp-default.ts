import type { OciSeccomp, OciSyscall } from '../oci.js';
import { ALLOWED_BY_CAPABILITY, ALWAYS_ALLOWED, seccompMachine } from './seccomp-syscalls.js';

/**
 * Returns the RuntimeDefault filter for a container's capabilities (its bounding set) and a machine. A system call
 * fails with EPERM unless its name, a capability or an argument allows it.
 */
export function defaultSeccompProfile(capabilities: readonly string[], machine: string): OciSeccomp {
  const { architectures, allowed } = seccompMachine(machine);
  const byCapability = capabilities.flatMap((name) => ALLOWED_BY_CAPABILITY[name] ?? []);
  const names = [...new Set([...ALWAYS_ALLOWED, ...allowed, ...byCapability])].sort();
  return {
    defaultAction: 'SCMP_ACT_ERRNO',
    ...(architectures.length > 0 && { architectures: [...architectures] }),
    syscalls: [
      { names, action: 'SCMP_ACT_ALLOW' },
      ...socketRules(),
      ...PERSONALITIES.map((value) => allowIf('personality', { index: 0, value, op: 'SCMP_CMP_EQ' })),
      ...(names.includes('clone') ? [] : cloneRules()),
    ],
  };
}

const AF_ALG = 38;
const AF_NFC = 39;
/** AF_KCM, AF_QIPCRTR, AF_SMC, AF_XDP and AF_MCTP; 40 is AF_VSOCK. */
const FAMILIES_ABOVE_VSOCK = [41, 42, 43, 44, 45];

/** PER_LINUX, PER_LINUX32, both with UNAME26, and the value that only reads the personality. */
const PERSONALITIES = [0x0, 0x8, 0x20000, 0x20008, 0xffffffff];

/** CLONE_NEWNS | NEWCGROUP | NEWUTS | NEWIPC | NEWUSER | NEWPID | NEWNET. */
const NAMESPACE_FLAGS = 0x7e020000;

const ENOSYS = 38;

const allowIf = (name: string, condition: NonNullable<OciSyscall['args']>[number]): OciSyscall => ({
  names: [name],
  action: 'SCMP_ACT_ALLOW',
  args: [condition],
});

/**
 * Allows the socket families that Linux defines (`include/linux/socket.h`), except AF_ALG (the kernel's crypto) and
 * AF_VSOCK (other virtual machines). A family that a later kernel adds is refused until it is listed here. runc
 * combines several conditions on one argument with OR, so each family above the first gap has its own rule.
 * https://github.com/opencontainers/runc/issues/2735
 */
const socketRules = (): OciSyscall[] => [
  allowIf('socket', { index: 0, value: AF_ALG, op: 'SCMP_CMP_LT' }),
  ...[AF_NFC, ...FAMILIES_ABOVE_VSOCK].map((value) => allowIf('socket', { index: 0, value, op: 'SCMP_CMP_EQ' })),
];

/**
 * Allows threads and processes, but no new namespaces. A filter cannot read the flags of clone3, which are in memory:
 * ENOSYS makes the C library fall back to clone.
 */
const cloneRules = (): OciSyscall[] => [
  allowIf('clone', { index: 0, value: NAMESPACE_FLAGS, valueTwo: 0, op: 'SCMP_CMP_MASKED_EQ' }),
  { names: ['clone3'], action: 'SCMP_ACT_ERRNO', errnoRet: ENOSYS },
];
