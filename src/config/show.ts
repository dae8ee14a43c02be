import { stringify } from 'smol-toml';
import type { LoadedConfig } from './load.js';
import { get, isTree, keyText, type Path, type Tree } from './tree.js';

/**
 * What is in force, as TOML that crid's own file could hold, each value with a comment that says where it came from.
 * Credentials are replaced by `[redacted]`.
 */
export function showConfig({ config, origins }: Pick<LoadedConfig, 'config' | 'origins'>): string {
  return `${table(redacted(config), [], origins).join('\n').trim()}\n`;
}

/** A table's own values first, as TOML wants it, then the tables in it. */
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

const REDACTED = '[redacted]';

function redacted(config: Tree): Tree {
  const copy = structuredClone(config);
  const registry = get(copy, ['images', 'registry']);
  if (!isTree(registry)) return copy;
  for (const name of ['headers', 'configs', 'auths']) registry[name] = concealed(registry[name]);
  return copy;
}

/** Every text that is not empty, at any depth. */
function concealed(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(concealed);
  if (isTree(value)) return Object.fromEntries(Object.entries(value).map(([key, inner]) => [key, concealed(inner)]));
  return value === '' ? '' : REDACTED;
}
