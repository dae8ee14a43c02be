import { readdir } from 'node:fs/promises';
import { join } from 'node:path';
import { CriError } from '../base/errors.js';
import { errnoName, fsError } from './errno.js';
import { readRegularFile } from './regular-file.js';

export interface CdiFile {
  readonly path: string;
  /** The place of its directory among those asked for. */
  readonly priority: number;
  /** What its JSON or YAML says; or why it cannot be read. */
  readonly content: { readonly value: unknown } | { readonly error: CriError };
}

/** Every `.json` and `.yaml` file directly in these directories; one that is missing has none. */
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

/** Loaded where it is needed: few nodes have such a file, and the parser takes 8 MiB. */
const parseYaml = async (text: string): Promise<unknown> => (await import('yaml')).parse(text);

const namesIn = (directory: string): Promise<string[]> =>
  readdir(directory).catch((thrown: unknown) => {
    if (errnoName(thrown) === 'ENOENT') return [];
    throw fsError(thrown, directory);
  });
