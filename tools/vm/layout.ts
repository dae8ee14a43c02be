import { createHash } from 'node:crypto';
import { join } from 'node:path';
import type { Architecture } from '../stack/architectures.js';
import { cacheFolder } from '../stack/layout.js';
import { SUITE } from '../stack/package-list.js';
import { guestFiles, INITRD_FILES, KEPT_PROFILES, PACKAGED_CONFIG, packages } from './recipe.js';

/** The paths of the node's image, which is built once. */
export interface VmLayout {
  readonly dir: string;
  readonly architecture: Architecture;
  /** The root file system, ext4. A running node never writes to it. */
  readonly image: string;
  readonly kernel: string;
  readonly initrd: string;
  /** The private key that the guest's root accepts. */
  readonly key: string;
}

/**
 * Returns the layout in `CRID_VM_DIR`, or in a folder of the user's cache whose name changes with the recipe of the
 * image.
 */
export function vmLayout(architecture: Architecture, env: NodeJS.ProcessEnv = process.env): VmLayout {
  if (process.platform !== 'linux' || process.arch !== 'x64') {
    throw new Error(`the node in a VM needs Linux on x64, not ${process.platform} ${process.arch}`);
  }
  const made = [SUITE, packages(architecture), guestFiles(''), INITRD_FILES, KEPT_PROFILES, PACKAGED_CONFIG];
  const hash = createHash('sha256').update(JSON.stringify(made)).digest('hex');
  const dir = env['CRID_VM_DIR'] || join(cacheFolder(env), `vm-${hash.slice(0, 12)}`);
  const file = (name: string): string => join(dir, name);
  return {
    dir,
    architecture,
    image: file('root.img'),
    kernel: file('vmlinuz'),
    initrd: file('initrd'),
    key: file('key'),
  };
}
