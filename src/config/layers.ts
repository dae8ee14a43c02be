import { checkOptions, type Problem } from './check.js';
import type { Arranged } from './layout.js';
import { get, isTree, keyText, put, take, type Path, type Tree } from './tree.js';

/** The options of one file or of the command line, checked, in the layout of the Config. */
export interface Layer {
  /** The file's path, or `command line`. */
  readonly source: string;
  readonly options: Tree;
  /** Returns the source's own path for a path of the Config. */
  readonly nameOf: (path: readonly PropertyKey[]) => string;
}

/** The layers read so far, in order of precedence, with their warnings and errors. */
export interface Findings {
  readonly layers: Layer[];
  readonly warnings: string[];
  readonly problems: string[];
}

export const noFindings = (): Findings => ({ layers: [], warnings: [], problems: [] });

/**
 * Checks the options of a source and adds them, or their problems, to `findings`. Unknown keys are errors. With
 * `tolerant` they are warnings and left out, because containerd may be newer than crid.
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

/** Returns the last layer that sets `path`, or undefined when it has its default. */
export const layerOf = (layers: readonly Layer[], path: Path): Layer | undefined =>
  layers.findLast(({ options }) => get(options, path) !== undefined);

/**
 * Returns a problem of the whole Config as a line that names the source of the option, or of the nearest table above
 * it.
 */
export function problemLine(layers: readonly Layer[], { path, text }: Problem): string {
  const names = path.map(String);
  for (let depth = names.length; depth > 0; depth--) {
    const layer = layerOf(layers, names.slice(0, depth));
    if (layer) return `${layer.source}: ${layer.nameOf(path)}: ${text}`;
  }
  return `default: ${keyText(path)}: ${text}`;
}

const REGISTRY = ['images', 'registry'];

/** Returns a warning for each option in a checked layer that containerd still honours but has deprecated. */
function deprecations(options: Tree): Problem[] {
  const found: Problem[] = [];
  for (const name of ['mirrors', 'configs', 'auths']) {
    const entries = get(options, [...REGISTRY, name]);
    if (!isTree(entries) || Object.keys(entries).length === 0) continue;
    const instead = name === 'mirrors' ? 'hosts.toml files in config_path' : 'image pull secrets';
    found.push({ path: [...REGISTRY, name], text: `deprecated, use ${instead}` });
  }
  if (get(options, ['runtime', 'enable_cdi']) === false) {
    found.push({ path: ['runtime', 'enable_cdi'], text: 'deprecated, a later containerd always enables CDI' });
  }
  return found;
}

/** Moves `registry.auths`, whose keys are URLs, into `registry.configs`, whose keys are hosts. */
function foldAuths(options: Tree): void {
  const auths = take(options, [...REGISTRY, 'auths']);
  for (const [endpoint, auth] of Object.entries(isTree(auths) ? auths : {})) {
    const host = URL.canParse(endpoint) && new URL(endpoint).host !== '' ? new URL(endpoint).host : endpoint;
    put(options, [...REGISTRY, 'configs', host, 'auth'], auth);
  }
}
