import { chmod, copyFile, lutimes, mkdir, readdir, symlink, utimes, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';

/** A file of a package: its content, the file that it is a copy of, or the target of a symbolic link. */
export type Content = { readonly text: string | Buffer } | { readonly copyOf: string } | { readonly link: string };

export interface TreeFile {
  /** Relative to the root of the tree. */
  readonly path: string;
  readonly content: Content;
  readonly isProgram?: boolean;
}

/** Writes files with the modes and the times that every build gives them, whatever the umask of the builder is. */
export async function writeTree(root: string, files: readonly TreeFile[], epoch: number): Promise<void> {
  for (const { path, content, isProgram = false } of files) {
    const target = join(root, path);
    await mkdir(dirname(target), { recursive: true });
    if ('link' in content) {
      await symlink(content.link, target);
      await lutimes(target, epoch, epoch);
      continue;
    }
    if ('text' in content) await writeFile(target, content.text);
    else await copyFile(content.copyOf, target);
    await chmod(target, isProgram ? 0o755 : 0o644);
    await utimes(target, epoch, epoch);
  }
  await settleFolders(root, epoch);
}

/** Sets modes and times of folders last, because each new file changes the time of its folder. */
async function settleFolders(folder: string, epoch: number): Promise<void> {
  for (const entry of await readdir(folder, { withFileTypes: true })) {
    if (entry.isDirectory()) await settleFolders(join(folder, entry.name), epoch);
  }
  await chmod(folder, 0o755);
  await utimes(folder, epoch, epoch);
}
