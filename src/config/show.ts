import { stringify } from 'smol-toml';
import type { LoadedConfig } from './load.js';
import { withoutCredentials } from './redacted.js';
import { isTree, keyText, type Path, type Tree } from './tree.js';

/**
 * Returns the effective configuration as TOML that crid's own file could contain. A comment on each value names its
 * source. Credentials are `[redacted]`.
 */
export function showConfig({ config, origins }: Pick<LoadedConfig, 'config' | 'origins'>): string {
  return `${table(withoutCredentials(config), [], origins).join('\n').trim()}\n`;
}

/** Prints a table's own values before its sub-tables, as TOML requires. */
function table(tree: Tree, path: Path, origins: ReadonlyMap<string, string>): string[] {
  const entries = Object.entries(tree);
  const values = entries.filter(([, value]) => !isTree(value));
  const tables = entries.filter((entry): entry is [string, Tree] => isTree(entry[1]));
  const isNeeded = path.length > 0 && (values.length > 0 || tables.length === 0);
  const origin = origins.get(keyText(path));
  return [
    ...(isNeeded ? ['', `[${keyText(path)}]${origin ? ` # ${origin}` : ''}`] : []),
    ...values.map(([key, value]) => {
      const line = stringify({ [key]: value }).trimEnd();
      return `${line} # ${origins.get(keyText([...path, key])) ?? 'default'}`;
    }),
    ...tables.flatMap(([key, value]) => table(value, [...path, key], origins)),
  ];
}
