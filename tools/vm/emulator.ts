import type { Architecture } from '../stack/architectures.js';

/** The names that QEMU and the kernel have for the parts of a node's machine. */
interface Emulator {
  /** The Debian package of the program. */
  readonly package: string;
  readonly program: string;
  /** The type of the machine, with its options. */
  readonly machine: string;
  readonly cpu: string;
  /** The kernel's name of the serial port. */
  readonly console: string;
}

export const EMULATORS: Readonly<Record<Architecture, Emulator>> = {
  amd64: {
    package: 'qemu-system-x86',
    program: 'qemu-system-x86_64',
    machine: 'q35',
    cpu: 'max,la57=off',
    console: 'ttyS0',
  },
  // A server's processor. `max` would also emulate pointer authentication and SVE, which take time.
  arm64: {
    package: 'qemu-system-arm',
    program: 'qemu-system-aarch64',
    machine: 'virt,gic-version=3',
    cpu: 'neoverse-n1',
    console: 'ttyAMA0',
  },
};
