import type { OciSeccomp, OciSyscall } from './oci.js';
import { ALLOWED_BY_CAPABILITY, ALWAYS_ALLOWED, seccompMachine } from './seccomp-syscalls.js';

/**
 * The RuntimeDefault filter of a container with these capabilities (its bounding set) on this machine: everything is
 * refused with EPERM but what is allowed by name, by capability, or by argument.
 */
export function defaultSeccompProfile(capabilities: readonly string[], machine: string): OciSeccomp {
  const { architectures, allowed, cloneFlagsIndex } = seccompMachine(machine);
  const byCapability = capabilities.flatMap((name) => ALLOWED_BY_CAPABILITY[name] ?? []);
  const names = [...new Set([...ALWAYS_ALLOWED, ...allowed, ...byCapability])].sort();
  return {
    defaultAction: 'SCMP_ACT_ERRNO',
    ...(architectures.length > 0 && { architectures: [...architectures] }),
    syscalls: [
      { names, action: 'SCMP_ACT_ALLOW' },
      ...socketRules(),
      ...PERSONALITIES.map((value) => allowIf('personality', { index: 0, value, op: 'SCMP_CMP_EQ' })),
      ...(names.includes('clone') ? [] : cloneRules(cloneFlagsIndex)),
    ],
  };
}

const AF_ALG = 38;
const AF_VSOCK = 40;

/** PER_LINUX, PER_LINUX32, the same with UNAME26, and the value that only asks. */
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
 * All families but AF_ALG (the kernel's crypto) and AF_VSOCK (the hypervisor). Two "not equal" conditions on one
 * argument would be ORed by the runtime and allow both: hence three ranges.
 */
const socketRules = (): OciSyscall[] => [
  allowIf('socket', { index: 0, value: AF_ALG, op: 'SCMP_CMP_LT' }),
  allowIf('socket', { index: 0, value: AF_ALG + 1, op: 'SCMP_CMP_EQ' }),
  allowIf('socket', { index: 0, value: AF_VSOCK, op: 'SCMP_CMP_GT' }),
];

/**
 * Threads and processes, but no new namespaces. clone3 has its flags in memory, where no filter can look: ENOSYS makes
 * the C library fall back to clone.
 */
const cloneRules = (flagsIndex: 0 | 1): OciSyscall[] => [
  allowIf('clone', { index: flagsIndex, value: NAMESPACE_FLAGS, valueTwo: 0, op: 'SCMP_CMP_MASKED_EQ' }),
  { names: ['clone3'], action: 'SCMP_ACT_ERRNO', errnoRet: ENOSYS },
];
