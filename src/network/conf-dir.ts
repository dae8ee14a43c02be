import { readdir, stat } from 'node:fs/promises';
import { extname, join } from 'node:path';
import { CriError } from '../base/errors.js';
import { readRegularFile } from '../host/files/regular-file.js';
import { errnoName } from '../host/syscall/errno.js';
import { parseConfList, parsePluginConf, parseSingleConf, withPlugins, type NetworkConf } from './conf-list.js';

/** The content of a configuration directory when it was read. */
export interface LoadedConf {
  /** In the order of the file names; the first is the default network, eth0. Empty on any error. */
  readonly networks: readonly NetworkConf[];
  /** The error, or '' when there are networks. */
  readonly error: string;
  /** Inode, size and times of each file and directory from just before it was read, or the error of `stat`. */
  readonly stamps: ReadonlyMap<string, string>;
}

/** The reason when a directory holds no configuration: the exact words that operators search for. */
export const NOT_INITIALIZED = 'cni plugin not initialized';

/** The limit of etcd, and so of a ConfigMap from which an installer writes such a file. */
const MAX_CONF_BYTES = 1 << 20;

/**
 * Reads the first `maxConfNum` (0: all) of `*.conflist`, `*.conf` and `*.json` in lexical order. One bad file among
 * those fails the whole load: an operator who breaks a file expects the node to report it. Never throws.
 */
export async function loadConfDir(dir: string, maxConfNum: number): Promise<LoadedConf> {
  const stamps = new Map<string, string>();
  try {
    const files = await confFiles(dir, ['.conflist', '.conf', '.json'], stamps);
    if (files.length === 0)
      throw new CriError('FAILED_PRECONDITION', `no network config found in ${dir}: ${NOT_INITIALIZED}`);
    const networks: NetworkConf[] = [];
    for (const file of maxConfNum > 0 ? files.slice(0, maxConfNum) : files) {
      networks.push(await loadFile(dir, file, stamps));
    }
    return { networks, error: '', stamps };
  } catch (thrown) {
    return { networks: [], error: CriError.from(thrown).message, stamps };
  }
}

/** Whether any file or directory of `stamps` has changed. */
export async function hasChanged(loaded: LoadedConf): Promise<boolean> {
  const checks = [...loaded.stamps].map(async ([path, before]) => (await stampOf(path)) !== before);
  return (await Promise.all(checks)).includes(true);
}

async function loadFile(dir: string, file: string, stamps: Map<string, string>): Promise<NetworkConf> {
  const path = join(dir, file);
  const isList = extname(file) === '.conflist';
  try {
    const source = await readStamped(path, stamps);
    return isList ? await withFolder(dir, parseConfList(source), stamps) : parseSingleConf(source);
  } catch (thrown) {
    const kind = isList ? 'CNI config list file' : 'CNI config file';
    const { message } = CriError.from(thrown);
    throw new CriError('FAILED_PRECONDITION', `failed to load ${kind} ${path}: ${message}: invalid cni config`, {
      cause: thrown,
    });
  }
}

/** Adds the plugins in the directory named after the network, beside its conflist (CNI spec 1.1.0). */
async function withFolder(dir: string, network: NetworkConf, stamps: Map<string, string>): Promise<NetworkConf> {
  if (network.loadOnlyInlinedPlugins) return network;
  const folder = join(dir, network.name);
  const files = await confFiles(folder, ['.conf'], stamps);
  if (files.length === 0) {
    if (network.plugins.length === 0) throw new CriError('FAILED_PRECONDITION', 'plugins: missing');
    return network;
  }
  const plugins = [...network.plugins];
  for (const file of files) {
    const path = join(folder, file);
    try {
      plugins.push(parsePluginConf(await readStamped(path, stamps)));
    } catch (thrown) {
      throw CriError.from(thrown).prefixed(path);
    }
  }
  return withPlugins(network, plugins);
}

async function readStamped(path: string, stamps: Map<string, string>): Promise<string> {
  stamps.set(path, await stampOf(path));
  return (await readRegularFile(path, MAX_CONF_BYTES)).toString('utf8');
}

/** Returns the sorted names of the files in `dir` with one of the extensions; none when `dir` does not exist. */
async function confFiles(dir: string, extensions: readonly string[], stamps: Map<string, string>): Promise<string[]> {
  stamps.set(dir, await stampOf(dir));
  try {
    const entries = await readdir(dir, { withFileTypes: true });
    return entries
      .filter((entry) => !entry.isDirectory() && extensions.includes(extname(entry.name)))
      .map((entry) => entry.name)
      .sort();
  } catch (thrown) {
    if (errnoName(thrown) === 'ENOENT') return [];
    throw new CriError('FAILED_PRECONDITION', `failed to read config file: ${CriError.from(thrown).message}`);
  }
}

async function stampOf(path: string): Promise<string> {
  try {
    const { ino, size, mtimeNs, ctimeNs } = await stat(path, { bigint: true });
    return `${ino} ${size} ${mtimeNs} ${ctimeNs}`;
  } catch (thrown) {
    return errnoName(thrown) ?? 'unreadable';
  }
}
