import { createHash } from 'node:crypto';
import { homedir } from 'node:os';
import { join } from 'node:path';
import { ARCHITECTURES, ownArchitecture, type Architecture } from './architectures.js';
import { goModule, usesPackagedContainerd } from './go-modules.js';
import { PACKAGES, SUITE } from './package-list.js';

/** The multiarch names of Debian's architectures. */
const TRIPLETS: Readonly<Record<Architecture, { triplet: string; loader: string }>> = {
  amd64: { triplet: 'x86_64-linux-gnu', loader: 'ld-linux-x86-64.so.2' },
  arm64: { triplet: 'aarch64-linux-gnu', loader: 'ld-linux-aarch64.so.1' },
};

/** The paths of everything that is downloaded or built once. */
export interface Layout {
  readonly dir: string;
  readonly architecture: Architecture;
  /** The root of the unpacked packages. */
  readonly root: string;
  /** The packages' programs that run on this host: runc, crun, docker-registry, containerd, its shim and ctr. */
  readonly bin: string;
  /** The folder of containerd, ctr and containerd-shim-runc-v2 in the version of CRID_CONTAINERD. */
  readonly containerdBin: string;
  /** The folder of criu, separate because a node has criu only if its operator installed it. */
  readonly criuBin: string;
  /** The suite's C library and the other libraries of runc, crun and the images. */
  readonly lib: string;
  readonly loader: string;
  readonly cniBin: string;
  /** The registry's storage, filled with the images. */
  readonly registry: string;
  /** The programs that are built for the architecture. */
  readonly goTools: string;
}

/** The folder of everything that is downloaded or built once, for any purpose. */
export const cacheFolder = (env: NodeJS.ProcessEnv = process.env): string =>
  join(env['XDG_CACHE_HOME'] || join(homedir(), '.cache'), 'crid');

/**
 * Returns the layout in `CRID_STACK_DIR`, or in a folder of the user's cache whose name changes with the list of
 * packages. On another architecture than this host's, only the images and the built programs are of use here: a node in
 * a VM shares them.
 */
export function stackLayout(env: NodeJS.ProcessEnv = process.env, architecture = ownArchitecture()): Layout {
  if (process.platform !== 'linux' || !architecture) {
    throw new Error(`a private containerd stack needs Linux on x64 or arm64, not ${process.platform} ${process.arch}`);
  }
  const isOwn = architecture === ownArchitecture();
  const names = TRIPLETS[architecture];
  const cache = cacheFolder(env);
  const hash = createHash('sha256')
    .update(JSON.stringify([SUITE, PACKAGES, ARCHITECTURES[architecture]]))
    .digest('hex');
  const dir = (isOwn && env['CRID_STACK_DIR']) || join(cache, `stack-${hash.slice(0, 12)}`);
  const packages = join(dir, 'packages');
  const root = join(packages, 'root');
  const lib = join(root, 'usr', 'lib', names.triplet);
  const bin = join(packages, 'bin');
  // The Go tools do not depend on the packages.
  const goTools = isOwn ? join(env['CRID_STACK_DIR'] || cache, 'go') : join(cache, `go-${architecture}`);
  return {
    dir,
    architecture,
    root,
    bin,
    containerdBin: usesPackagedContainerd(env) ? bin : join(goTools, goModule('containerd', env).version),
    criuBin: join(packages, 'criu'),
    lib,
    loader: join(lib, names.loader),
    cniBin: join(root, 'usr', 'lib', 'cni'),
    registry: join(dir, 'registry'),
    goTools,
  };
}
