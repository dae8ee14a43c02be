import { existsSync } from 'node:fs';
import { chmod, copyFile, mkdir, readdir, readFile, rename, rm, symlink, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { ownArchitecture, type Architecture } from '../stack/architectures.js';
import { DEBIAN_KEYRING, debianMirror } from '../stack/apt-mirror.js';
import { run, which, withRetries } from '../stack/exec.js';
import { hasProgram, installHostPackages, missingPackages, type HostNeed } from '../stack/host-packages.js';
import { removeTree } from '../stack/leftovers.js';
import { withLock } from '../stack/lock.js';
import { SUITE } from '../stack/package-list.js';
import { INSTALLED } from '../stack/packages.js';
import type { Step } from '../stack/steps.js';
import { EMULATORS } from './emulator.js';
import { FOREIGN_NEEDS, withForeignPrograms } from './foreign-programs.js';
import type { VmLayout } from './layout.js';
import {
  GUEST_STACK,
  guestFiles,
  INITRD_FILES,
  KEPT_PROFILES,
  PACKAGED_CONFIG,
  packages,
  type GuestFile,
} from './recipe.js';

const NEEDS: readonly HostNeed[] = [
  { package: 'mmdebstrap', isHere: hasProgram('mmdebstrap') },
  { package: 'e2fsprogs', isHere: hasProgram('mke2fs') },
  { package: 'openssh-client', isHere: hasProgram('ssh') },
];
/** A package of its own since Debian 13; Debian 12 has it in QEMU's packages. */
const SHARE_NEEDS: readonly HostNeed[] = [{ package: 'virtiofsd', isHere: () => virtiofsd() !== undefined }];

const BOOTSTRAP_LIMIT_MS = 900_000;
/** The packages' scripts run in an emulation. */
const FOREIGN_BOOTSTRAP_LIMIT_MS = 2_700_000;
const TRIES = 2;
const DISK = '20G';

/** Returns the program that shares a folder of the host with a guest. */
export const virtiofsd = (): string | undefined =>
  ['/usr/libexec/virtiofsd', '/usr/lib/qemu/virtiofsd'].find((path) => existsSync(path)) ?? which('virtiofsd');

/**
 * Makes sure that QEMU and the image exist. It takes a few minutes the first time, and a few milliseconds after that.
 */
export async function prepareVm(layout: VmLayout, step: Step): Promise<void> {
  const { architecture } = layout;
  const needs = needsOf(architecture);
  const isWhole = async (): Promise<boolean> =>
    existsSync(layout.image) && (await missingPackages([...needs, ...SHARE_NEEDS])).length === 0;
  if (await isWhole()) return;
  await withLock(`${layout.dir}.lock`, async () => {
    for (const each of [needs, SHARE_NEEDS]) {
      const missing = await missingPackages(each);
      if (missing.length > 0) await step(`install ${missing.join(', ')} with apt`, () => installHostPackages(missing));
    }
    if (!existsSync(layout.image)) {
      await step(`make a node of Debian ${SUITE} for ${architecture} in ${layout.dir}`, () => makeImage(layout));
    }
  });
}

function needsOf(architecture: Architecture): readonly HostNeed[] {
  const { package: name, program } = EMULATORS[architecture];
  const foreign = architecture === ownArchitecture() ? [] : FOREIGN_NEEDS;
  return [{ package: name, isHere: hasProgram(program) }, ...NEEDS, ...foreign];
}

async function makeImage(layout: VmLayout): Promise<void> {
  const work = `${layout.dir}.new`;
  const root = join(work, 'root');
  await removeTree(work);
  await removeTree(layout.dir);
  await mkdir(work, { recursive: true, mode: 0o700 });
  try {
    await bootstrap(work, root, layout.architecture);
    const at = (path: string): string => join(work, path.slice(layout.dir.length + 1));
    await run('ssh-keygen', ['-q', '-t', 'ed25519', '-N', '', '-C', 'crid', '-f', at(layout.key)]);
    await configure(root, await readFile(`${at(layout.key)}.pub`, 'utf8'));
    await copyFile(await bootFile(root, 'initrd.img-'), at(layout.initrd));
    await copyFile(await bootFile(root, 'vmlinuz-'), at(layout.kernel));
    const mkfs = ['-q', '-t', 'ext4', '-d', root, at(layout.image), DISK];
    await run(which('mke2fs') ?? 'mke2fs', mkfs, { timeoutMs: BOOTSTRAP_LIMIT_MS });
    await removeTree(root);
    await removeTree(beforeOf(work));
    await rename(work, layout.dir);
  } finally {
    await removeTree(work);
  }
}

async function bootstrap(work: string, root: string, architecture: Architecture): Promise<void> {
  const before = beforeOf(work);
  await writeFiles(before, INITRD_FILES);
  const source = `deb [signed-by=${DEBIAN_KEYRING}] ${await debianMirror()} ${SUITE} main`;
  const args = [
    ...['--mode=root', '--variant=minbase', '--quiet', `--include=${packages(architecture).join(',')}`],
    // Without this check, mmdebstrap needs no program of its own to find that the other architecture's programs run.
    ...[`--architectures=${architecture}`, '--skip=check/qemu'],
    // A mirror may be a snapshot whose Release file has expired; apt still checks its signature.
    '--aptopt=Acquire::Check-Valid-Until "false"',
    // The image is rebuilt after a crash of the host, so dpkg need not sync each file.
    '--dpkgopt=force-unsafe-io',
    // Must be there before the kernel is installed, which builds its initrd at once.
    `--essential-hook=sync-in ${before} /`,
    ...[SUITE, root, source],
  ];
  const env = { ...process.env, DEBIAN_FRONTEND: 'noninteractive' };
  const make = (timeoutMs: number): Promise<string> =>
    withRetries(TRIES, async () => {
      // mmdebstrap refuses a folder that a failed attempt has filled.
      await removeTree(root);
      return run('mmdebstrap', args, { timeoutMs, env });
    });
  if (architecture === ownArchitecture()) await make(BOOTSTRAP_LIMIT_MS);
  else await withForeignPrograms(() => make(FOREIGN_BOOTSTRAP_LIMIT_MS));
}

/** The folder of files that exist before the packages are installed. */
const beforeOf = (work: string): string => join(work, 'before');

async function configure(root: string, publicKey: string): Promise<void> {
  for (const name of await readdir(join(root, 'etc/apparmor.d'), { withFileTypes: true })) {
    if (name.isFile() && !KEPT_PROFILES.includes(name.name)) await rm(join(root, 'etc/apparmor.d', name.name));
  }
  await rm(join(root, 'etc/apt/sources.list'), { force: true });
  await mkdir(dirname(join(root, PACKAGED_CONFIG)), { recursive: true });
  await rename(join(root, 'etc/containerd/config.toml'), join(root, PACKAGED_CONFIG));
  await writeFiles(root, { ...guestFiles(publicKey), [`${GUEST_STACK.slice(1)}/packages/made-of`]: INSTALLED });
  await chmod(join(root, 'root/.ssh'), 0o700);
  // Otherwise the first boot updates /etc and /var, because they look older than /usr (ConditionNeedsUpdate=).
  for (const folder of ['etc', 'var']) await writeFile(join(root, folder, '.updated'), '');
}

async function writeFiles(root: string, files: Readonly<Record<string, GuestFile>>): Promise<void> {
  for (const [path, body] of Object.entries(files)) {
    const target = join(root, path);
    await mkdir(dirname(target), { recursive: true });
    await rm(target, { force: true });
    await (typeof body === 'string' ? writeFile(target, body) : symlink(body.link, target));
  }
}

async function bootFile(root: string, prefix: string): Promise<string> {
  const boot = join(root, 'boot');
  const name = (await readdir(boot)).find((each) => each.startsWith(prefix));
  if (name === undefined) throw new Error(`no ${prefix}* in the /boot of Debian ${SUITE}`);
  return join(boot, name);
}
