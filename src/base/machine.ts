/** Node's names of the architectures that crid supports: those that koffi, its native module, has a build for. */
export const MACHINES = ['x64', 'arm64', 'arm', 'ppc64', 'riscv64', 'loong64'] as const;

export type Machine = (typeof MACHINES)[number];

export const isMachine = (arch: string): arch is Machine => MACHINES.some((known) => known === arch);

/**
 * Returns the reason why crid cannot run on this machine, or undefined. It reads kernel structures as little-endian.
 */
export function unsupportedMachine(platform: string, arch: string, endianness: 'BE' | 'LE'): string | undefined {
  if (platform !== 'linux') return `crid runs on Linux only, not on ${platform}`;
  if (isMachine(arch) && endianness === 'LE') return undefined;
  const machine = endianness === 'BE' ? `${arch} (big-endian)` : arch;
  return `crid does not run on ${machine}: it runs on ${MACHINES.join(', ')}, all little-endian`;
}
