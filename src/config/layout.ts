import { get, isTree, keyText, put, take, type Path, type Tree } from './tree.js';

/**
 * A move from a file's layout to the Config's: the value at `from` goes to `to`, or is dropped. `*` matches any name.
 */
export interface Move {
  readonly from: Path;
  readonly to?: Path;
  /** The value becomes a list with one element. */
  readonly wrap?: boolean;
  /** "" means that the option is not set. */
  readonly dropEmpty?: boolean;
  /** Returns a warning about this way to set the option. `value` is its value. */
  readonly warning?: (value: unknown) => string | undefined;
}

export interface Arranged {
  readonly tree: Tree;
  /** Returns the file's own path for a path of the Config. */
  readonly nameOf: (path: readonly PropertyKey[]) => string;
  readonly warnings: { readonly name: string; readonly text: string }[];
}

/** Applies `moves` in turn to a copy of `document`. If two moves set the same option, the later one wins. */
export function arrange(document: Tree, moves: readonly Move[]): Arranged {
  const rest = structuredClone(document);
  const tree: Tree = {};
  const done: { from: Path; to: readonly PropertyKey[] }[] = [];
  const warnings: { name: string; text: string }[] = [];
  for (const { move, from, to } of moves.flatMap((move) => concrete(rest, move))) {
    const value = take(rest, from);
    if (value === undefined) continue;
    if (move.dropEmpty && value === '') continue;
    const text = move.warning?.(value);
    if (text !== undefined) warnings.push({ name: keyText(from), text });
    if (!to) continue;
    put(tree, to, move.wrap ? [value] : value);
    done.push({ from, to: move.wrap ? [...to, 0] : to });
  }
  return { tree, warnings, nameOf: (path) => keyText(nameIn(done, path)) };
}

/** Finds the last and longest move that led to `path`, and applies it backwards. */
function nameIn(done: readonly { from: Path; to: readonly PropertyKey[] }[], path: readonly PropertyKey[]) {
  let best: { from: Path; to: readonly PropertyKey[] } = { from: [], to: [] };
  for (const step of done) {
    const leads = step.to.every((key, index) => key === path[index]);
    if (leads && step.to.length >= best.to.length) best = step;
  }
  return [...best.from, ...path.slice(best.to.length)];
}

/** Returns the move once for each combination of names that `tree` has in place of `*`. */
function concrete(tree: Tree, move: Move): { move: Move; from: Path; to: Path | undefined }[] {
  const at = move.from.indexOf('*');
  if (at < 0) return [{ move, from: move.from, to: move.to }];
  const parent = get(tree, move.from.slice(0, at));
  const fill = (path: Path, name: string): Path => path.map((key, index) => (index === path.indexOf('*') ? name : key));
  return Object.keys(isTree(parent) ? parent : {}).map((name) => ({
    move,
    from: fill(move.from, name),
    to: move.to && fill(move.to, name),
  }));
}
