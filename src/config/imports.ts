import { dirname, resolve } from 'node:path';
import { glob } from './glob.js';
import { readToml } from './toml-file.js';
import type { Tree } from './tree.js';

export interface ImportedFiles {
  /** In order of precedence: each file overrides those before it. */
  readonly files: readonly { readonly file: string; readonly tree: Tree }[];
  readonly problems: readonly string[];
}

/** Far more than any real set of drop-in files. It stops a pattern that matches half of the disk. */
const MOST_FILES = 256;

/**
 * Reads containerd's config.toml and its imports, breadth first as containerd does. A file is read only once, which
 * ends import cycles and lets a pattern match the file that contains it. Undefined when `main` does not exist.
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

/** An import is a pattern only if it contains `*`. Any other path is literal. */
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
