import { readFile } from 'node:fs/promises';
import { parse, TomlDate, TomlError } from 'smol-toml';
import { isTree, type Tree } from './tree.js';

export type TomlFile = { readonly tree: Tree } | { readonly problem: string } | { readonly missing: true };

/**
 * Reads one TOML file. Returns its faults instead of throwing them, so that the faults of every file are reported
 * together.
 */
export async function readToml(file: string): Promise<TomlFile> {
  try {
    return { tree: datesAsText(parse(await readFile(file, 'utf8'))) as Tree };
  } catch (thrown) {
    if (thrown instanceof TomlError) {
      const [reason] = thrown.message.split('\n');
      return { problem: `${file}: line ${thrown.line}, column ${thrown.column}: ${reason}` };
    }
    const code = (thrown as NodeJS.ErrnoException).code;
    if (code === 'ENOENT' || code === 'ENOTDIR') return { missing: true };
    return { problem: `${file}: cannot be read: ${code ?? String(thrown)}` };
  }
}

/** Converts dates to text. No option is a date, and a Date object would be taken for a table. */
function datesAsText(value: unknown): unknown {
  if (value instanceof TomlDate) return value.toISOString();
  if (Array.isArray(value)) return value.map(datesAsText);
  if (!isTree(value)) return value;
  for (const [key, inner] of Object.entries(value)) value[key] = datesAsText(inner);
  return value;
}
