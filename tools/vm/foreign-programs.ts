import { existsSync } from 'node:fs';
import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { onDispose } from '../stack/disposers.js';
import { run } from '../stack/exec.js';
import { hasProgram, type HostNeed } from '../stack/host-packages.js';

const FOLDER = '/proc/sys/fs/binfmt_misc';
const NAME = 'qemu-aarch64';
/** The entry for binfmt_misc, in the package of the emulator. On a host with systemd it is in force already. */
const ENTRY = `/usr/lib/binfmt.d/${NAME}.conf`;

/** The programs that this host needs to run programs of arm64 in a folder with an arm64 system. */
export const FOREIGN_NEEDS: readonly HostNeed[] = [
  { package: 'qemu-user-static', isHere: hasProgram('qemu-aarch64-static') },
];

/**
 * Makes the kernel run programs of arm64 in QEMU's emulation of a process while `work` runs. The setting is the whole
 * host's; one that was there before stays. A signal removes it too, but not SIGKILL: a later run takes it for the
 * host's.
 */
export async function withForeignPrograms<T>(work: () => Promise<T>): Promise<T> {
  const isMounted = existsSync(join(FOLDER, 'register'));
  if (!isMounted) await run('mount', ['-t', 'binfmt_misc', 'binfmt_misc', FOLDER]);
  const entry = join(FOLDER, NAME);
  const isRegistered = existsSync(entry);
  const undo = onDispose('the setting for programs of arm64', async () => {
    if (!isRegistered && existsSync(entry)) await writeFile(entry, '-1');
    if (!isMounted) await run('umount', [FOLDER]);
  });
  try {
    if (!isRegistered) await writeFile(join(FOLDER, 'register'), await readFile(ENTRY));
    return await work();
  } finally {
    await undo();
  }
}
