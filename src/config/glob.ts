import { readdir } from 'node:fs/promises';
import { join } from 'node:path';

/**
 * The files that an absolute pattern names, sorted, with `*`, `?` and `[…]` inside a path's parts as in Go's
 * filepath.Match (a leading dot is nothing special there). Undefined when the pattern is malformed. Directories that
 * cannot be read match nothing. Node has a glob of its own only from version 22 on.
 */
export async function glob(pattern: string): Promise<string[] | undefined> {
  let found = ['/'];
  for (const part of pattern.split('/').filter((name) => name !== '')) {
    const matches = matcher(part);
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

/** One part of a pattern as a regular expression. */
function matcher(part: string): RegExp | undefined {
  const source = part.replaceAll(
    /\\(.)|\[(\^?)((?:\\.|[^\]\\])+)\]|([*?])|(.)/gsu,
    (_, ...groups: (string | undefined)[]) => {
      const [escaped, not, set, wild, plain] = groups;
      if (set !== undefined) return `[${not}${set.replaceAll(/[[&~]/g, '\\$&')}]`;
      if (wild !== undefined) return wild === '*' ? '.*' : '.';
      return quoted(escaped ?? plain ?? '');
    },
  );
  try {
    return part.replaceAll(/\\.|\[[^\]]+\]/gs, '').includes('[') ? undefined : new RegExp(`^${source}$`, 'su');
  } catch {
    return undefined;
  }
}

const quoted = (character: string): string => character.replace(/[.*+?^${}()|[\]\\/]/, '\\$&');
