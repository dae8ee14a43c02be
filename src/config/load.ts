import { CriError } from '../base/errors.js';
import { complete } from './complete.js';
import { readContainerdConfig, type ContainerdFiles } from './containerd-config.js';
import { binDir } from './containerd-layout.js';
import { crossCheck } from './cross-checks.js';
import { DEFAULT_CONFIG, DEFAULT_CONTAINERD_CONFIG } from './defaults.js';
import { addLayer, layerOf, noFindings, problemLine, type Findings } from './layers.js';
import { arrange } from './layout.js';
import type { Config } from './options.js';
import { readToml } from './toml-file.js';
import { defaultTransferSettings } from './transfer-settings.js';
import { keyText, leaves, put, type Tree } from './tree.js';

export interface LoadOptions {
  /** The path of containerd's config.toml. The default is /etc/containerd/config.toml if it exists; "" reads none. */
  readonly containerdConfig?: string | undefined;
  /** The path of crid's own file. The default is /etc/crid/config.toml if it exists; "" reads none. */
  readonly config?: string | undefined;
  /** `--listen`: overrides `crid.listen`. */
  readonly listen?: string | undefined;
  /** Other options from the command line, in the layout of the Config. */
  readonly overrides?: Tree | undefined;
}

export interface LoadedConfig extends ContainerdFiles {
  readonly config: Config;
  /** The source of each value by its key path: `default`, a file's path, or `command line`. */
  readonly origins: ReadonlyMap<string, string>;
  readonly warnings: readonly string[];
}

/**
 * Loads the effective configuration: containerd's config.toml with its imports, overridden key by key by crid's own
 * file, and that by the command line. Throws INVALID_ARGUMENT with one line for every fault of every source.
 */
export async function loadConfig(options: LoadOptions = {}): Promise<LoadedConfig> {
  const findings = noFindings();
  const containerd = await addContainerdConfig(options.containerdConfig, findings);
  await addOwnConfig(options.config, findings);
  addCommandLine(options, findings);
  refuse(findings.problems);
  const config = complete(findings.layers);
  refuse(crossCheck(config).map((problem) => problemLine(findings.layers, problem)));
  const origins = new Map(
    leaves(config as Tree).map((path) => [keyText(path), layerOf(findings.layers, path)?.source ?? 'default']),
  );
  return { config, origins, warnings: findings.warnings, ...containerd };
}

async function addContainerdConfig(file: string | undefined, findings: Findings): Promise<ContainerdFiles> {
  const path = file ?? DEFAULT_CONTAINERD_CONFIG;
  const read = path === '' ? undefined : await readContainerdConfig(path, findings);
  if (!read && file) findings.problems.push(`${file}: no such file`);
  return read ?? { criPluginDisabled: false, criPluginRequired: false, transfer: defaultTransferSettings() };
}

async function addOwnConfig(file: string | undefined, findings: Findings): Promise<void> {
  const path = file ?? DEFAULT_CONFIG;
  if (path === '') return;
  const read = await readToml(path);
  if ('problem' in read) findings.problems.push(read.problem);
  else if ('tree' in read) addLayer(findings, path, asItStands(read.tree), { tolerant: false });
  else if (file) findings.problems.push(`${file}: no such file`);
}

function addCommandLine({ listen, overrides }: LoadOptions, findings: Findings): void {
  const tree: Tree = structuredClone(overrides ?? {});
  if (listen !== undefined) put(tree, ['crid', 'listen'], listen);
  if (Object.keys(tree).length > 0) addLayer(findings, 'command line', asItStands(tree), { tolerant: false });
}

/** crid's own file has the layout of the Config. Only the old name of `bin_dirs` is moved. */
const asItStands = (tree: Tree) =>
  arrange(tree, [binDir(['runtime']), ...Object.keys(tree).map((key) => ({ from: [key], to: [key] }))]);

function refuse(problems: readonly string[]): void {
  if (problems.length > 0) throw new CriError('INVALID_ARGUMENT', problems.join('\n'));
}
