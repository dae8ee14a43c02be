import { dirname, resolve } from 'node:path';
import { glob } from './glob.js';
import { readToml } from './toml-file.js';
import type { Tree } from './tree.js';

export interface ImportedFiles {
  /** In the order in which they count: each overrides those before it. */
  readonly files: readonly { readonly file: string; readonly tree: Tree }[];
  readonly problems: readonly string[];
}

/** Far beyond any real set of drop-ins; it stops a pattern that matches half the disk. */
const MOST_FILES = 256;

/**
 * Reads containerd's config.toml and what it imports, breadth first as containerd does. A file already read is passed
 * over, which ends circles and lets a pattern match the file it stands in. Undefined when `main` is not there.
 */
export async function readWithImports(main: string): Promise<ImportedFiles | undefined> {
  const files: { file: string; tree: Tree }[] = [];
  const problems: string[] = [];
  const pending: { file: string; by: string | undefined }[] = [{ file: resolve(main), by: undefined }];
  const seen = new Set<string>();
  for (let next = pending.shift(); next; next = pending.shift()) {
    const { file, by } = next;
    if (seen.has(file)) continue;
    if (seen.size === MOST_FILES) {
      problems.push(`${main}: imports: more than ${MOST_FILES} files`);
      break;
    }
    seen.add(file);
    const read = await readToml(file);
    if ('missing' in read) {
      if (by === undefined) return undefined;
      problems.push(`${by}: imports: ${file} does not exist`);
    } else if ('problem' in read) {
      problems.push(read.problem);
    } else {
      files.push({ file, tree: read.tree });
      const { found, wrong } = await importsOf(file, read.tree);
      pending.push(...found.map((imported) => ({ file: imported, by: file })));
      problems.push(...wrong);
    }
  }
  return { files, problems };
}

/** Only `*` makes a pattern of an import; a path is taken as it stands. */
async function importsOf(file: string, tree: Tree): Promise<{ found: string[]; wrong: string[] }> {
  const imports = tree['imports'] ?? [];
  if (!Array.isArray(imports) || !imports.every((entry) => typeof entry === 'string')) {
    return { found: [], wrong: [`${file}: imports: expected a list of paths`] };
  }
  const found: string[] = [];
  const wrong: string[] = [];
  for (const entry of imports) {
    const path = resolve(dirname(file), entry);
    const matched = path.includes('*') ? await glob(path) : [path];
    if (matched) found.push(...matched);
    else wrong.push(`${file}: imports: malformed pattern ${JSON.stringify(entry)}`);
  }
  return { found, wrong };
}
