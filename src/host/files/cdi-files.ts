import { readdir } from 'node:fs/promises';
import { join } from 'node:path';
import { CriError } from '../../base/errors.js';
import { errnoName, fsError } from '../syscall/errno.js';
import { readRegularFile } from './regular-file.js';
import { parseYaml } from './yaml-file.js';

export interface CdiFile {
  readonly path: string;
  /** The index of its directory in the list given to `readCdiFiles`. */
  readonly priority: number;
  /** The parsed JSON or YAML, or why it cannot be read. */
  readonly content: { readonly value: unknown } | { readonly error: CriError };
}

/** Reads every `.json` and `.yaml` file directly in these directories; a missing directory has no files. */
export async function readCdiFiles(directories: readonly string[]): Promise<CdiFile[]> {
  const files = await Promise.all(
    directories.map(async (directory, priority) => {
      const names = (await namesIn(directory)).filter((name) => /\.(json|yaml)$/.test(name)).sort();
      return Promise.all(names.map((name) => readOne(join(directory, name), priority)));
    }),
  );
  return files.flat();
}

const MAX_FILE_BYTES = 16 * 1024 * 1024;

async function readOne(path: string, priority: number): Promise<CdiFile> {
  try {
    const text = (await readRegularFile(path, MAX_FILE_BYTES)).toString('utf8');
    const value: unknown = path.endsWith('.json') ? JSON.parse(text) : await parseYaml(text);
    return { path, priority, content: { value } };
  } catch (thrown) {
    return { path, priority, content: { error: CriError.from(thrown).prefixed(`CDI spec ${path}`) } };
  }
}

const namesIn = (directory: string): Promise<string[]> =>
  readdir(directory).catch((thrown: unknown) => {
    if (errnoName(thrown) === 'ENOENT') return [];
    throw fsError(thrown, directory);
  });
