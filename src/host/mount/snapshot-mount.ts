import { closeSync } from 'node:fs';
import { mkdir, open, rmdir } from 'node:fs/promises';
import { translated } from '../syscall/errno.js';
import {
  attachDetached,
  idmapDetached,
  openDetached,
  openDirectory,
  openOverlay,
  overlayLayers,
  requireOne,
  type RootfsMount,
} from './detached-mount.js';
import { unmount } from './mount-calls.js';
import { mountOrdinary, orWithout } from './ordinary-mount.js';

/**
 * Mounts a snapshot read-only (nosuid, nodev) on an existing directory. `usernsPath`: the user namespace whose root
 * owns the files that root owns in the snapshot. Nothing is left on failure. `unmount` unmounts it.
 */
export async function mountSnapshot(
  mounts: readonly RootfsMount[],
  target: string,
  options: { readonly usernsPath?: string | undefined } = {},
): Promise<void> {
  const { usernsPath } = options;
  if (usernsPath === undefined) {
    return orWithout(
      async () => attachAndClose(await openDetached(mounts), target),
      () => mountOrdinary(requireOne(mounts), target),
    );
  }
  const userns = await translated(usernsPath, () => open(usernsPath, 'r'));
  try {
    const [mount, ...more] = mounts;
    if (mount?.type === 'overlay' && more.length === 0) await mountMappedOverlay(mount, target, userns.fd);
    else await attachMapped(await openDetached(mounts), target, userns.fd);
  } finally {
    await userns.close();
  }
}

/** An overlay cannot be id-mapped, but its layers can. Before Linux 6.15 a layer must be attached somewhere. */
async function mountMappedOverlay(mount: RootfsMount, target: string, usernsFd: number): Promise<void> {
  const layers: string[] = [];
  try {
    for (const source of overlayLayers(mount)) {
      const layer = `${target}.${layers.length}`;
      // A kill may have left it.
      await unmount(layer, { detach: true });
      await translated(layer, () => mkdir(layer, { mode: 0o700, recursive: true }));
      layers.push(layer);
      await attachMapped(await openDirectory(source), layer, usernsFd);
    }
    const options = mount.options.filter((option) => !/^(upperdir|workdir|lowerdir)=/.test(option));
    const lower = layers.map((layer) => layer.replaceAll(/[\\:]/g, '\\$&')).join(':');
    await attachAndClose(await openOverlay({ ...mount, options: [...options, `lowerdir=${lower}`] }), target);
  } finally {
    // The overlay keeps its own references to the layers.
    for (const layer of layers) {
      await unmount(layer, { detach: true });
      await translated(layer, () => rmdir(layer));
    }
  }
}

async function attachMapped(fd: number, target: string, usernsFd: number): Promise<void> {
  try {
    await idmapDetached(fd, usernsFd);
    await attachDetached(fd, target);
  } finally {
    closeSync(fd);
  }
}

async function attachAndClose(fd: number, target: string): Promise<void> {
  try {
    await attachDetached(fd, target);
  } finally {
    closeSync(fd);
  }
}
