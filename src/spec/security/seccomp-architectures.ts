import type { OciSeccomp, OciSyscallArg } from '../oci.js';
import { LOW_WORD } from './seccomp-values.js';
import { inexpressible } from './seccomp-work.js';

/**
 * The architectures of a combined filter, and the bits of an argument that libseccomp compares there. The others have
 * socketcall(2) and ipc(2), to which libseccomp also applies the rules of connect, shmget, …: their names are not
 * independent, as the combination takes them to be. A runtime adds the machine's own architecture by itself.
 */
const ARGUMENT_BITS: Readonly<Record<string, 32 | 64>> = {
  SCMP_ARCH_X86_64: 64,
  SCMP_ARCH_X32: 32,
  SCMP_ARCH_AARCH64: 64,
  SCMP_ARCH_ARM: 32,
  SCMP_ARCH_RISCV64: 64,
  SCMP_ARCH_LOONGARCH64: 64,
};

/** Returns the architectures that both name and a combined filter can have; without a list it is the native one. */
export const sharedArchitectures = (a: OciSeccomp, b: OciSeccomp): string[] =>
  (a.architectures ?? []).filter((name) => b.architectures?.includes(name) && ARGUMENT_BITS[name] !== undefined);

/**
 * Returns a check of conditions for a filter of these architectures. Where libseccomp compares 32 bits, it drops the
 * upper half of a value, which changes what the condition admits: `GE 2^32` becomes `GE 0`. FAILED_PRECONDITION
 */
export function conditionCheck(architectures: readonly string[]): (args: readonly OciSyscallArg[]) => void {
  const narrow = architectures.find((name) => ARGUMENT_BITS[name] === 32);
  return (args) => {
    if (narrow !== undefined && args.some((arg) => comparedValue(arg) > LOW_WORD)) {
      throw inexpressible(`a value above 32 bits for ${narrow}`);
    }
  };
}

function comparedValue({ op, value, valueTwo }: OciSyscallArg): bigint {
  const number = BigInt.asUintN(64, BigInt(value));
  return op === 'SCMP_CMP_MASKED_EQ' ? number & BigInt.asUintN(64, BigInt(valueTwo ?? 0)) : number;
}
