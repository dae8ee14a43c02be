import { existsSync } from 'node:fs';
import { readdir, readlink, rm, rmdir } from 'node:fs/promises';
import { basename, join } from 'node:path';
import { processes } from '../../tools/stack/leftovers.js';

/** Folders that a kubelet writes to regardless of its configuration: sockets of device plugins, and links to logs. */
const DEVICE_PLUGINS = '/var/lib/kubelet/device-plugins';
const LOG_LINKS = '/var/log/containers';

/**
 * Call before a kubelet starts. The returned function removes what the kubelet left in those folders, and its links
 * into `podLogs`.
 */
export function kubeletTraces(podLogs: string): () => Promise<void> {
  const folders = [DEVICE_PLUGINS, join(DEVICE_PLUGINS, '..'), LOG_LINKS].filter((folder) => !existsSync(folder));
  return async () => {
    for (const name of await readdir(LOG_LINKS).catch(() => [])) {
      const link = join(LOG_LINKS, name);
      if ((await readlink(link).catch(() => '')).startsWith(`${podLogs}/`)) await rm(link, { force: true });
    }
    const others = (await processes()).some(({ args }) => basename(args[0] ?? '') === 'kubelet');
    if (others) return;
    if (folders.includes(DEVICE_PLUGINS)) await rm(join(DEVICE_PLUGINS, 'kubelet.sock'), { force: true });
    // rmdir fails for a folder with files of another program, which then stays.
    for (const folder of folders) await rmdir(folder).catch(() => undefined);
  };
}
