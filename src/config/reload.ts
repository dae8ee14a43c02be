import { isDeepStrictEqual } from 'node:util';
import { withoutCredentials } from './redacted.js';
import type { Config } from './options.js';
import { get, isTree, keyText, put, take, type Path, type Tree } from './tree.js';

/**
 * The options that crid reads only when it starts; a path stands for all options below it. A reload takes all others.
 * docs/configuration.md says it for each option, and a test compares the two.
 */
const ONLY_AT_START: readonly Path[] = [
  'root',
  'state',
  'grpc',
  'runtime.enable_selinux',
  'runtime.selinux_category_range',
  'runtime.netns_mounts_under_state_dir',
  'runtime.stats_collect_period',
  'runtime.stats_retention_period',
  'images.registry.mirrors',
  'images.stats_collect_period',
  'streaming.stream_server_address',
  'streaming.stream_server_port',
  'streaming.enable_tls_streaming',
  'streaming.x509_key_pair_streaming',
  'nri',
  'crid.listen',
  'crid.socket_gid',
  'crid.metrics_address',
  'crid.traced_calls',
  'crid.namespace',
].map((name) => name.split('.'));

/** Whether a reload takes the option, or a table of options, at `path`. */
export const isReloadable = (path: Path): boolean =>
  !ONLY_AT_START.some((start) => start.every((key, index) => path[index] === key));

/** An option whose values differ. A value is undefined where the option, or its whole table, is not set. */
export interface OptionChange {
  /** `runtime.containerd.runtimes.kata`, as TOML writes a path. */
  readonly option: string;
  readonly old: unknown;
  readonly new: unknown;
  readonly needsRestart: boolean;
}

/**
 * Returns the differences between two configurations, sorted by option, without credentials: where these differ, both
 * values are `[redacted]`. A named table that only one of them has, such as that of a runtime, is one difference.
 */
export function changesBetween(running: Tree, loaded: Tree): OptionChange[] {
  const shown = [withoutCredentials(running), withoutCredentials(loaded)] as const;
  const startsAnew = mirrorsDiffer(running, loaded);
  return differing(running, loaded, [])
    .map((path) => ({
      option: keyText(path),
      old: get(shown[0], path),
      new: get(shown[1], path),
      needsRestart: !isReloadable(path) || (startsAnew && isConfigPath(path)),
    }))
    .sort((a, b) => (a.option < b.option ? -1 : 1));
}

/** Returns `loaded` with the values of `running` for the options that need a restart. */
export function keepUntilRestart(running: Config, loaded: Config): Config {
  const next = structuredClone(loaded) as Tree;
  const kept = mirrorsDiffer(running, loaded) ? [...ONLY_AT_START, CONFIG_PATH] : ONLY_AT_START;
  for (const path of kept) {
    take(next, path);
    put(next, path, structuredClone(get(running, path)));
  }
  return next as Config;
}

const CONFIG_PATH: Path = ['images', 'registry', 'config_path'];
const MIRRORS: Path = ['images', 'registry', 'mirrors'];

/** Mirrors and `config_path` exclude each other, so they can only change together. */
const mirrorsDiffer = (running: Tree, loaded: Tree): boolean => differing(running, loaded, MIRRORS).length > 0;
const isConfigPath = (path: Path): boolean => keyText(path) === keyText(CONFIG_PATH);

/** Returns the paths below `above` whose values differ. Tables that both have are compared key by key. */
function differing(one: Tree, other: Tree, above: Path): Path[] {
  const [before, after] = [get(one, above), get(other, above)];
  if (!isTree(before) || !isTree(after)) return isDeepStrictEqual(before, after) ? [] : [above];
  const keys = new Set([...Object.keys(before), ...Object.keys(after)]);
  return [...keys].flatMap((key) => differing(one, other, [...above, key]));
}
