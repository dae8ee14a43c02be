import { expectedReceived } from './check.js';
import { CRI_PLUGINS, movesOf, NEWEST_VERSION } from './containerd-layout.js';
import { readWithImports } from './imports.js';
import { addLayer, type Findings } from './layers.js';
import { arrange, type Arranged } from './layout.js';
import { get, isTree, type Tree } from './tree.js';

export interface ContainerdFiles {
  /** `disabled_plugins` names containerd's own CRI. */
  readonly criPluginDisabled: boolean;
  /** `required_plugins` names it: containerd does not start once it is off. */
  readonly criPluginRequired: boolean;
}

/** Reads containerd's config.toml with its imports into `findings`; undefined when the file is not there. */
export async function readContainerdConfig(main: string, findings: Findings): Promise<ContainerdFiles | undefined> {
  const read = await readWithImports(main);
  if (!read) return undefined;
  findings.problems.push(...read.problems);
  const disabled: unknown[] = [];
  const required: unknown[] = [];
  let mainVersion: number | undefined;
  for (const { file, tree } of read.files) {
    disabled.push(...names(tree['disabled_plugins']));
    required.push(...names(tree['required_plugins']));
    const version = versionOf(tree);
    const moves = typeof version === 'number' ? movesOf(version) : undefined;
    if (typeof version !== 'number' || !moves) {
      findings.problems.push(`${file}: version: ${typeof version === 'string' ? version : unknownVersion(version)}`);
      continue;
    }
    mainVersion ??= version;
    if (version > mainVersion) {
      findings.problems.push(
        `${file}: version: ${version} is higher than the ${mainVersion} of ${main}, which imports it`,
      );
    }
    const arranged = arrange(tree, moves);
    pauseForPodsandbox(arranged);
    addLayer(findings, file, arranged, { tolerant: true });
  }
  const holdsCri = (list: unknown[]): boolean => CRI_PLUGINS.some((plugin) => list.includes(plugin));
  return { criPluginDisabled: holdsCri(disabled), criPluginRequired: holdsCri(required) };
}

/**
 * The version of a file, or what is wrong with it. One without a version is of version 1 to containerd 2, which still
 * starts with it. Its plugins go by other names, so it only will do here when it configures none, as the file that
 * Docker's packages install.
 */
function versionOf(tree: Tree): number | string {
  const version = tree['version'] ?? 1;
  if (typeof version !== 'number') return expectedReceived('expected a whole number', version);
  const plugins = tree['plugins'];
  if (version !== 1 || !isTree(plugins) || Object.keys(plugins).length === 0) return version;
  const migrate = 'run "containerd config migrate" to bring the file up to date';
  return `${expectedReceived(`expected 2 to ${NEWEST_VERSION}`, tree['version'])}; ${migrate}`;
}

const unknownVersion = (version: unknown): string => expectedReceived(`expected 2 to ${NEWEST_VERSION}`, version);

const names = (list: unknown): unknown[] => (Array.isArray(list) ? list : []);

/**
 * What containerd calls `podsandbox`, and writes into every runtime of `containerd config default`, is a pause container
 * run by its CRI. With crid as the CRI that is `pause`; in crid's own file `podsandbox` is the controller of that name.
 */
function pauseForPodsandbox({ tree }: Arranged): void {
  const runtimes = get(tree, ['runtime', 'containerd', 'runtimes']);
  for (const handler of Object.values(isTree(runtimes) ? runtimes : {})) {
    if (isTree(handler) && handler['sandboxer'] === 'podsandbox') handler['sandboxer'] = 'pause';
  }
}
