import { expectedReceived } from './check.js';
import { CRI_PLUGINS, movesOf, NEWEST_VERSION, NRI_PLUGIN } from './containerd-layout.js';
import { readWithImports } from './imports.js';
import { addLayer, type Findings } from './layers.js';
import { arrange, type Arranged } from './layout.js';
import { transferSettings, type TransferSettings } from './transfer-settings.js';
import { get, isTree, put, type Tree } from './tree.js';

export interface ContainerdFiles {
  /** Whether `disabled_plugins` contains containerd's own CRI plugin. */
  readonly criPluginDisabled: boolean;
  /** Whether `required_plugins` contains the CRI plugin. containerd then fails to start once the plugin is disabled. */
  readonly criPluginRequired: boolean;
  readonly transfer: TransferSettings;
}

/** Reads containerd's config.toml with its imports into `findings`. Returns undefined when the file does not exist. */
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
    if (names(tree['disabled_plugins']).includes(NRI_PLUGIN)) put(arranged.tree, ['nri', 'disable'], true);
    addLayer(findings, file, arranged, { tolerant: true });
  }
  const holdsCri = (list: unknown[]): boolean => CRI_PLUGINS.some((plugin) => list.includes(plugin));
  return {
    criPluginDisabled: holdsCri(disabled),
    criPluginRequired: holdsCri(required),
    transfer: transferSettings(read.files),
  };
}

/**
 * Returns the version of a file, or an error text. containerd 2 treats a file without a version as version 1 and starts
 * with it. The plugins of version 1 have other names, so crid accepts such a file only if it configures none of them
 * (Docker's packages install one like that).
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
 * Replaces the sandboxer `podsandbox` in containerd's file by `pause`. containerd writes `podsandbox` into every
 * runtime of `containerd config default`, and it means a pause container that its CRI plugin runs. In crid's own file,
 * `podsandbox` means the sandbox controller of that name.
 */
function pauseForPodsandbox({ tree }: Arranged): void {
  const runtimes = get(tree, ['runtime', 'containerd', 'runtimes']);
  for (const handler of Object.values(isTree(runtimes) ? runtimes : {})) {
    if (isTree(handler) && handler['sandboxer'] === 'podsandbox') handler['sandboxer'] = 'pause';
  }
}
