import { createHash } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { gzipSync } from 'node:zlib';
import type { Architecture } from '../stack/architectures.js';
import { projectRoot } from '../stack/project.js';
import { ZSH_COMPLETION } from './completion/zsh.js';
import type { Contents, Edition } from './contents.js';
import type { TreeFile } from './tree.js';

const MAINTAINER = 'The crid maintainers <crid@users.noreply.github.com>';
/** The path that Debian's zsh reads below /usr. */
const DEBIAN_ZSH = 'share/zsh/vendor-completions/_crid';
const SCRIPTS = ['postinst', 'prerm', 'postrm'] as const;

/** Debian's form of a version: a pre-release comes before the release, and the package has a revision. */
export const debianVersion = (version: string): string => `${version.replaceAll('-', '~')}-1`;

/** The name of the package's file. */
export const debianFile = (version: string, architecture: Architecture): string =>
  `crid_${debianVersion(version)}_${architecture}.deb`;

/** Returns all files below the root of the Debian package, with those in DEBIAN/. */
export async function debianFiles({ files, unit }: Contents, edition: Edition): Promise<TreeFile[]> {
  const read = (path: string): Promise<string> => readFile(join(projectRoot, 'packaging', 'debian', path), 'utf8');
  const changes = changelog(edition);
  const installed: TreeFile[] = [
    ...files.map((file) => ({ ...file, path: `usr/${file.path === ZSH_COMPLETION ? DEBIAN_ZSH : file.path}` })),
    { path: 'usr/lib/systemd/system/crid.service', content: { text: unit('/usr/bin/crid') } },
    { path: 'usr/share/doc/crid/copyright', content: { text: await read('copyright') } },
    { path: 'usr/share/doc/crid/changelog.Debian.gz', content: { text: gzipSync(changes, { level: 9 }) } },
    { path: 'usr/share/lintian/overrides/crid', content: { text: await read('lintian-overrides') } },
  ];
  const scripts = await Promise.all(
    SCRIPTS.map(async (name) => ({ path: `DEBIAN/${name}`, content: { text: await read(name) }, isProgram: true })),
  );
  const sums = await Promise.all(installed.toSorted(byPath).map(checksum));
  return [
    ...installed,
    ...scripts,
    { path: 'DEBIAN/md5sums', content: { text: sums.join('') } },
    { path: 'DEBIAN/control', content: { text: control(edition, await sizeOf(installed)) } },
  ];
}

/** Node.js's binary needs GLIBC_2.28 and GLIBCXX_3.4.21; libstdc++ 8 is the one of the first Debian with that libc. */
export const control = ({ version, architecture }: Edition, bytes: number): string => `Package: crid
Version: ${debianVersion(version)}
Architecture: ${architecture}
Maintainer: ${MAINTAINER}
Installed-Size: ${Math.ceil(bytes / 1024)}
Depends: libc6 (>= 2.28), libgcc-s1, libstdc++6 (>= 8), init-system-helpers (>= 1.54)
Suggests: containerd (>= 2.0) | containerd.io (>= 2.0)
Section: admin
Priority: optional
Description: Kubernetes CRI server on an existing containerd
 crid serves the Container Runtime Interface to a kubelet, and runs pods by
 calls to a containerd 2.x of the node. Its state is in containerd, so crid can
 be restarted and upgraded under running pods.
 .
 The package contains its own Node.js. The administrator enables the service.
`;

const changelog = ({ version, epoch }: Edition): string => `crid (${debianVersion(version)}) unstable; urgency=medium

  * Version ${version}: see changelog.gz.

 -- ${MAINTAINER}  ${new Date(epoch * 1000).toUTCString().replace('GMT', '+0000')}
`;

async function bytesOf({ content }: TreeFile): Promise<Buffer | undefined> {
  if ('link' in content) return undefined;
  return 'text' in content ? Buffer.from(content.text) : readFile(content.copyOf);
}

const byPath = (a: TreeFile, b: TreeFile): number => (a.path < b.path ? -1 : 1);

/** A line of md5sums, by which `dpkg --verify` checks the installed files. */
async function checksum(file: TreeFile): Promise<string> {
  const bytes = await bytesOf(file);
  if (bytes === undefined) return '';
  return `${createHash('md5').update(bytes).digest('hex')}  ${file.path}\n`;
}

async function sizeOf(files: readonly TreeFile[]): Promise<number> {
  const sizes = await Promise.all(files.map(async (file) => (await bytesOf(file))?.length ?? 0));
  return sizes.reduce((sum, size) => sum + size, 0);
}
