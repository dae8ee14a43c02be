/** The contents of a TOML document, and operations on them. All are pure except `put` and `take`. */

export type Tree = { [key: string]: unknown };
export type Path = readonly string[];

export const isTree = (value: unknown): value is Tree =>
  typeof value === 'object' && value !== null && !Array.isArray(value);

/** Merges `over` onto `under`, table by table and key by key. Lists and plain values are replaced whole. */
export function merged(under: unknown, over: unknown): unknown {
  if (!isTree(under) || !isTree(over)) return over;
  const both: Tree = { ...under };
  for (const [key, value] of Object.entries(over)) {
    both[key] = Object.hasOwn(under, key) ? merged(under[key], value) : value;
  }
  return both;
}

export function get(tree: unknown, path: Path): unknown {
  let at = tree;
  for (const key of path) {
    if (!isTree(at) || !Object.hasOwn(at, key)) return undefined;
    at = at[key];
  }
  return at;
}

/** Merges `value` into `tree` at `path`, and creates the tables on the way. */
export function put(tree: Tree, path: Path, value: unknown): void {
  const [key, ...rest] = path;
  if (key === undefined) return;
  const old = Object.hasOwn(tree, key) ? tree[key] : undefined;
  if (rest.length === 0) {
    tree[key] = merged(old, value);
    return;
  }
  const child: Tree = isTree(old) ? { ...old } : {};
  put(child, rest, value);
  tree[key] = child;
}

/** Removes the value at `path` from `tree` and returns it. */
export function take(tree: Tree, path: Path): unknown {
  const parent = get(tree, path.slice(0, -1));
  const key = path.at(-1);
  if (!isTree(parent) || key === undefined || !Object.hasOwn(parent, key)) return undefined;
  const value = parent[key];
  delete parent[key];
  return value;
}

/** Returns the paths of all values of `tree` that are not tables, and of its empty tables, in order. */
export function leaves(tree: Tree, above: Path = []): Path[] {
  return Object.entries(tree).flatMap(([key, value]) => {
    const path = [...above, key];
    return isTree(value) && Object.keys(value).length > 0 ? leaves(value, path) : [path];
  });
}

/** Returns a path as TOML writes it: `runtime.cni.conf_dir`, `images.registry.mirrors."docker.io".endpoint[0]`. */
export function keyText(path: readonly PropertyKey[]): string {
  const parts = path.map((key) => {
    if (typeof key === 'number') return `[${key}]`;
    const name = String(key);
    return `.${/^[A-Za-z0-9_-]+$/.test(name) ? name : JSON.stringify(name)}`;
  });
  return parts.join('').replace(/^\./, '');
}
