import { checkOptions, type Problem } from './check.js';
import { deprecations, foldAuths } from './deprecated.js';
import type { Arranged } from './layout.js';
import { get, keyText, take, type Path, type Tree } from './tree.js';

/** What one file, or the command line, says: options in the layout of the Config, of the right kinds. */
export interface Layer {
  /** The file's path, or `command line`. */
  readonly source: string;
  readonly options: Tree;
  /** The path that the source itself has for a path of the Config. */
  readonly nameOf: (path: readonly PropertyKey[]) => string;
}

/** What was read so far, in the order in which it counts, and what is to be said about it. */
export interface Findings {
  readonly layers: Layer[];
  readonly warnings: string[];
  readonly problems: string[];
}

export const noFindings = (): Findings => ({ layers: [], warnings: [], problems: [] });

/**
 * Checks a source's options and adds them, or what is wrong with them, to `findings`. Unknown keys are an error, or with
 * `tolerant` (containerd may be newer than crid) a warning, and left out.
 */
export function addLayer(findings: Findings, source: string, arranged: Arranged, how: { tolerant: boolean }): void {
  const { tree, nameOf } = arranged;
  const { wrong, unknown } = checkOptions(tree);
  const line = ({ path, text }: Problem): string => `${source}: ${nameOf(path)}: ${text}`;
  findings.warnings.push(...arranged.warnings.map(({ name, text }) => `${source}: ${name}: ${text}`));
  findings.problems.push(...wrong.map(line));
  if (how.tolerant) {
    findings.warnings.push(...unknown.map(({ path }) => line({ path, text: 'unknown option, ignored' })));
    for (const { path } of unknown) take(tree, path.map(String));
  } else {
    findings.problems.push(...unknown.map(line));
  }
  if (wrong.length > 0) return;
  findings.warnings.push(...deprecations(tree).map(line));
  foldAuths(tree);
  findings.layers.push({ source, options: tree, nameOf });
}

/** The last layer that sets `path`; undefined when it has its default. */
export const layerOf = (layers: readonly Layer[], path: Path): Layer | undefined =>
  layers.findLast(({ options }) => get(options, path) !== undefined);

/** A problem of the whole, as a line that names the source which set the option, or the nearest table above it. */
export function problemLine(layers: readonly Layer[], { path, text }: Problem): string {
  const names = path.map(String);
  for (let depth = names.length; depth > 0; depth--) {
    const layer = layerOf(layers, names.slice(0, depth));
    if (layer) return `${layer.source}: ${layer.nameOf(path)}: ${text}`;
  }
  return `default: ${keyText(path)}: ${text}`;
}
