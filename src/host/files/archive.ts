import { open, readdir } from 'node:fs/promises';
import { translated } from '../syscall/errno.js';

/**
 * Packs the content of a directory into a new tar file at `path` with mode 0600, and syncs it to the disk.
 * ALREADY_EXISTS when the file exists. A file that changes or vanishes meanwhile is an error.
 */
export async function writeTar(directory: string, path: string, signal: AbortSignal): Promise<void> {
  // Imported here, since only checkpoints need it: the start of crid does not load it.
  const { create } = await import('tar');
  const names = (await readdir(directory)).sort();
  await translated(path, async () => {
    const file = await open(path, 'wx', 0o600);
    try {
      for await (const chunk of create({ cwd: directory, strict: true }, names)) {
        signal.throwIfAborted();
        await file.writeFile(chunk);
      }
      await file.sync();
    } finally {
      await file.close();
    }
  });
}
