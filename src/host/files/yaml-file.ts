import { readRegularFile } from './regular-file.js';

const MAX_FILE_BYTES = 16 * 1024 * 1024;

/** Reads a file that is YAML, or JSON, which YAML contains. */
export async function readYamlFile(path: string): Promise<unknown> {
  return parseYaml((await readRegularFile(path, MAX_FILE_BYTES)).toString('utf8'));
}

/** Loaded on demand: few nodes have a YAML file, and the parser takes 8 MiB. */
export const parseYaml = async (text: string): Promise<unknown> => (await import('yaml')).parse(text);
