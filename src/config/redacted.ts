import { get, isTree, type Tree } from './tree.js';

const REDACTED = '[redacted]';

/** Returns a copy of a configuration in which every credential is `[redacted]`. */
export function withoutCredentials(config: Tree): Tree {
  const copy = structuredClone(config);
  const registry = get(copy, ['images', 'registry']);
  if (!isTree(registry)) return copy;
  for (const name of ['headers', 'configs', 'auths']) registry[name] = concealed(registry[name]);
  return copy;
}

/** Replaces every non-empty string, at any depth. */
function concealed(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(concealed);
  if (isTree(value)) return Object.fromEntries(Object.entries(value).map(([key, inner]) => [key, concealed(inner)]));
  return value === '' ? '' : REDACTED;
}
