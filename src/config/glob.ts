import { readdir } from 'node:fs/promises';
import { join } from 'node:path';
import { globExpression } from '../base/glob-expression.js';

/**
 * Returns the files that match an absolute pattern, sorted. `*`, `?` and `[…]` match within one part of the path, as in
 * Go's filepath.Match, and match a leading dot. Undefined when the pattern is malformed. Unreadable directories match
 * nothing. Node.js has its own glob only from version 22 on.
 */
export async function glob(pattern: string): Promise<string[] | undefined> {
  let found = ['/'];
  for (const part of pattern.split('/').filter((name) => name !== '')) {
    const matches = globExpression(part);
    if (!matches) return undefined;
    const deeper = await Promise.all(found.map(async (folder) => below(folder, part, matches)));
    found = deeper.flat();
  }
  return found;
}

async function below(folder: string, part: string, matches: RegExp): Promise<string[]> {
  const names = await readdir(folder).catch(() => []);
  const wanted = /[*?[\\]/.test(part)
    ? names.filter((name) => matches.test(name)).sort()
    : names.filter((name) => name === part);
  return wanted.map((name) => join(folder, name));
}
