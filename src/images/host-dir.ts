import { stat } from 'node:fs/promises';
import { join } from 'node:path';

/**
 * The one `certs.d` folder of `config_path` to look in for a registry: the transfer service takes no list. It is the
 * first that has a folder for the registry (https://github.com/containerd/containerd/blob/main/docs/hosts.md).
 */
export async function hostDirOf(configPath: string, domain: string): Promise<string> {
  const folders = configPath.split(':').filter((folder) => folder !== '');
  if (folders.length < 2) return folders[0] ?? '';
  for (const folder of folders) {
    for (const name of [domain.replace(/:(\d+)$/, '_$1_'), domain, '_default']) {
      if (await isFolder(join(folder, name))) return folder;
    }
  }
  return folders[0] ?? '';
}

const isFolder = (path: string): Promise<boolean> =>
  stat(path).then(
    (found) => found.isDirectory(),
    () => false,
  );
