import { open, readdir } from 'node:fs/promises';
import { translated } from './errno.js';

/**
 * Packs all that is in a directory into a tar at `path`, which must not be there yet and gets the mode 0600. It is on
 * the disk when this returns. A file that changes or vanishes meanwhile is an error.
 */
export async function writeTar(directory: string, path: string, signal: AbortSignal): Promise<void> {
  // Only checkpoints need it: a start does without.
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
