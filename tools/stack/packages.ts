import { existsSync } from 'node:fs';
import { copyFile, mkdir, rm, symlink } from 'node:fs/promises';
import { join } from 'node:path';
import { downloadDebs, installOnHost } from './apt.js';
import { exec } from './exec.js';
import { architecture, stackDir } from './paths.js';
import { madeOnce } from './stamp.js';

/** A container stack unpacked into a folder of its own. */
export interface Packages {
  /** The programs: `containerd`, `containerd-shim-runc-v2`, `ctr`, `docker-registry`, `runc`, `crun`. */
  readonly binDir: string;
  readonly cniBinDir: string;
  readonly containerdPath: string;
  readonly runcPath: string;
  readonly crunPath: string;
  readonly registryPath: string;
}

/** The first Debian suite that has containerd 2. */
const SUITE = 'forky';
const PROGRAMS = ['containerd', 'runc', 'crun', 'containernetworking-plugins', 'docker-registry'];
/** What runc and crun are linked with, for hosts whose own libraries are older. */
const LIBRARIES = [
  ...['libc6', 'libseccomp2', 'libyajl2', 'libcap2', 'libsystemd0', 'libgcrypt20', 'libgpg-error0', 'libblkid1'],
  ...['libmount1', 'libselinux1', 'libpcre2-8-0', 'libstdc++6', 'libgcc-s1', 'libjson-c5', 'libblake3-0'],
];
const PATCHED = ['runc', 'crun'];
const AS_THEY_ARE = ['containerd', 'ctr', 'containerd-shim-runc-v2', 'docker-registry'];

/** What the host itself must have, by a file that shows it, and the package that brings it. */
const HOST_NEEDS: readonly (readonly [name: string, files: readonly string[]])[] = [
  ['patchelf', ['/usr/bin/patchelf']],
  ['iptables', ['/usr/sbin/iptables', '/sbin/iptables']],
  ['nftables', ['/usr/sbin/nft', '/sbin/nft']],
  ['procps', ['/usr/bin/pgrep']],
  ['util-linux', ['/usr/bin/ipcs']],
  ['iproute2', ['/usr/sbin/ip', '/sbin/ip', '/usr/bin/ip', '/bin/ip']],
  ['gcc', ['/usr/bin/gcc']],
  ['libc6-dev', ['/usr/include/stdio.h']],
  ['ca-certificates', ['/etc/ssl/certs/ca-certificates.crt']],
];

/** Makes sure that the stack is unpacked and the host has what it needs; a second time it costs milliseconds. */
export async function ensurePackages(): Promise<Packages> {
  await ensureHostPackages();
  const folder = stackDir();
  const { triplet } = architecture();
  await madeOnce(folder, 'packages', { layout: 1, SUITE, PROGRAMS, LIBRARIES, triplet }, () => unpack(folder));
  const binDir = join(folder, 'bin');
  return {
    binDir,
    cniBinDir: join(folder, 'root/usr/lib/cni'),
    containerdPath: join(binDir, 'containerd'),
    runcPath: join(binDir, 'runc'),
    crunPath: join(binDir, 'crun'),
    registryPath: join(binDir, 'docker-registry'),
  };
}

async function ensureHostPackages(): Promise<void> {
  const missing = HOST_NEEDS.filter(([, files]) => !files.some(existsSync)).map(([name]) => name);
  if (missing.length > 0) await installOnHost(missing);
}

async function unpack(folder: string): Promise<void> {
  const root = join(folder, 'root');
  const bin = join(folder, 'bin');
  for (const old of ['root', 'debs', 'bin/runc', 'bin/crun'])
    await rm(join(folder, old), { recursive: true, force: true });
  await mkdir(bin, { recursive: true });
  for (const deb of await downloadDebs(folder, SUITE, [...PROGRAMS, ...LIBRARIES]))
    await exec('dpkg', ['-x', deb, root]);
  await rm(join(folder, 'debs'), { recursive: true });
  const { triplet, loader } = architecture();
  const libraries = join(root, 'usr/lib', triplet);
  for (const name of PATCHED) {
    await copyFile(found(root, name), join(bin, name));
    const options = ['--set-interpreter', join(libraries, loader), '--set-rpath', libraries];
    await exec('patchelf', [...options, join(bin, name)]);
  }
  for (const name of AS_THEY_ARE) {
    await rm(join(bin, name), { force: true });
    await symlink(found(root, name), join(bin, name));
  }
}

function found(root: string, name: string): string {
  const path = ['usr/bin', 'usr/sbin'].map((dir) => join(root, dir, name)).find(existsSync);
  if (path === undefined) throw new Error(`no ${name} in the packages of Debian ${SUITE}`);
  return path;
}
