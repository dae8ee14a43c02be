import { homedir } from 'node:os';
import { join } from 'node:path';

/** Where things that cost time to make are kept between runs; each part has a stamp that says what it was made of. */
export const stackDir = (): string =>
  process.env['CRID_STACK_DIR'] || join(process.env['XDG_CACHE_HOME'] || join(homedir(), '.cache'), 'crid', 'stack');

/** Names of this machine's architecture, as Debian, the ELF loader and OCI have them. */
export interface Architecture {
  /** Debian's folder of libraries. */
  readonly triplet: string;
  readonly loader: string;
  /** Go's name, which OCI images use. */
  readonly goarch: string;
}

const ARCHITECTURES: Partial<Record<NodeJS.Architecture, Architecture>> = {
  x64: { triplet: 'x86_64-linux-gnu', loader: 'ld-linux-x86-64.so.2', goarch: 'amd64' },
  arm64: { triplet: 'aarch64-linux-gnu', loader: 'ld-linux-aarch64.so.1', goarch: 'arm64' },
};

export function architecture(): Architecture {
  const found = ARCHITECTURES[process.arch];
  if (process.platform !== 'linux' || !found) {
    throw new Error(`the test stack needs Linux on x64 or arm64, not ${process.platform} on ${process.arch}`);
  }
  return found;
}

/** What is asked for before anything is touched. */
export function requireRoot(what: string): void {
  if (process.getuid?.() !== 0)
    throw new Error(`${what} needs root: it starts containers and makes bridges and mounts`);
}
