import { mkdir, readdir, readFile, realpath, rm, rmdir, stat } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { CriError } from '../base/errors.js';
import { readContainerdConfig } from '../config/containerd-config.js';
import { readWithImports } from '../config/imports.js';
import { noFindings } from '../config/layers.js';
import { writeFileAtomic } from '../host/files/files.js';
import { errnoName, translated } from '../host/syscall/errno.js';
import type { NodeFiles } from './move-node.js';

/**
 * Returns the files below `root`, which is "" for the node's own. Absolute imports of containerd's config.toml are not
 * looked for below `root`.
 */
export function filesBelow(root: string): NodeFiles {
  const at = (path: string): string => join(root, path) || '/';
  return {
    async read(path) {
      try {
        const [bytes, { mode, uid, gid }] = await Promise.all([readFile(at(path)), stat(at(path))]);
        return { text: decode(path, bytes), mode: mode & 0o7777, uid, gid };
      } catch (thrown) {
        if (isMissing(thrown)) return undefined;
        if (thrown instanceof CriError) throw thrown;
        return translated(path, () => Promise.reject(thrown as Error));
      }
    },
    names: async (folder) => (await readdir(at(folder)).catch(() => [])).sort(),
    async write(path, { text, mode, uid, gid }) {
      await translated(path, () => mkdir(dirname(at(path)), { recursive: true }));
      const target = await realpath(at(path)).catch(() => at(path));
      await writeFileAtomic(target, text, { mode, owner: { uid, gid } });
    },
    async remove(path) {
      await translated(path, () => rm(at(path), { force: true }));
      // A move may have made the folder of a drop-in. rmdir leaves a folder with other files alone.
      if (dirname(path).endsWith('.d')) await rmdir(at(dirname(path))).catch(() => undefined);
    },
    async containerdConfig(path) {
      const [read, files] = await Promise.all([
        readContainerdConfig(at(path), noFindings()),
        readWithImports(at(path)),
      ]);
      if (!read || !files) return undefined;
      const { criPluginDisabled, criPluginRequired } = read;
      const withoutRoot = (file: string): string => (file.startsWith(`${root}/`) ? file.slice(root.length) : file);
      return {
        criPluginDisabled,
        criPluginRequired,
        files: files.files.map(({ file, tree }) => ({ path: withoutRoot(file), tree })),
      };
    },
  };
}

/** A lossy decoder would corrupt the file when its text is written back. */
function decode(path: string, bytes: Uint8Array): string {
  try {
    return new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(bytes);
  } catch (thrown) {
    throw new CriError('FAILED_PRECONDITION', `${path}: is not UTF-8, so it cannot be edited safely`, {
      cause: thrown,
    });
  }
}

const isMissing = (thrown: unknown): boolean => ['ENOENT', 'ENOTDIR'].includes(errnoName(thrown) ?? '');
