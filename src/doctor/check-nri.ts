import type { NriConfig } from '../config/schema.js';
import { discoverPlugins } from '../nri/launch-plugins.js';
import { missingPlugins } from '../nri/plugin-policy.js';
import { ok, warning, type Finding } from './finding.js';

/** The number of plugins that are listed. */
const MAX_NAMED = 20;

/**
 * Lists the NRI plugins that crid launches, and warns of those in the plugin folder while NRI is off. `shared`: what
 * containerd's own NRI changes.
 */
export async function checkNri(
  config: NriConfig,
  shared: { readonly warning: string; readonly launches: boolean },
): Promise<Finding[]> {
  const bad: Finding[] = [];
  const files = await discoverPlugins(config.plugin_path, config.plugin_config_path, (path, problem) => {
    bad.push(warning('nri', `${path} is not launched: ${problem}`));
  });
  const names = listed(files.map(({ instance: { index, name } }) => `${index}-${name}`));
  if (config.enabled && !config.disable)
    return [
      ok('nri', files.length === 0 ? `on, no plugin in ${config.plugin_path}` : `on, ${launches(shared)} ${names}`),
      ...(shared.warning === '' ? [] : [warning('nri', shared.warning)]),
      ...bad.slice(0, MAX_NAMED),
    ];
  if (files.length === 0) return [ok('nri', 'off')];
  const remedy = config.disable ? 'remove nri.disable' : 'set nri.enabled';
  return [warning('nri', `off, and ${config.plugin_path} has ${names}: ${remedy}, or move the plugins away`)];
}

const launches = (shared: { readonly launches: boolean }): string =>
  shared.launches ? 'crid launches' : 'crid does not launch';

/**
 * Lists the plugins that are registered, and warns of required ones that are not. `info`: that of a verbose Status; a
 * server other than crid, and crid without NRI, have no plugins there.
 */
export function checkRegistered(config: NriConfig, info: Readonly<Record<string, string>>): Finding[] {
  const json = info['nri'];
  if (json === undefined) return [];
  const { plugins } = JSON.parse(json) as { readonly plugins: readonly string[] };
  const present = plugins.map((plugin) => ({ index: plugin.slice(0, 2), name: plugin.slice(3) }));
  return [
    ok('nri', plugins.length === 0 ? 'no plugin is registered' : `registered: ${listed(plugins)}`),
    ...missingPlugins(config, present, undefined).map((name) =>
      warning('nri', `the required plugin "${name}" is not registered: no container is created`),
    ),
  ];
}

const listed = (names: readonly string[]): string =>
  [...names.slice(0, MAX_NAMED), ...(names.length > MAX_NAMED ? [`${names.length - MAX_NAMED} more`] : [])].join(', ');
