import { readFile } from 'node:fs/promises';
import { parse, TomlError } from 'smol-toml';
import type { Tree } from './tree.js';

export type TomlFile = { readonly tree: Tree } | { readonly problem: string } | { readonly missing: true };

/** Reads one TOML file. What is wrong with it is told, not thrown, so that every file's faults can be told at once. */
export async function readToml(file: string): Promise<TomlFile> {
  try {
    return { tree: parse(await readFile(file, 'utf8')) };
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
