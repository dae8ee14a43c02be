import { CriError } from '../base/errors.js';
import { newestKnown, OLDEST_CNI_VERSION, parseVersion } from './cni-version.js';
import { isObject, jsonType, type JsonObject } from './json.js';

/** A plugin of a network: an object of `plugins`, or a whole `.conf` file. */
export interface PluginConf {
  readonly type: string;
  /** The capabilities that the plugin declares as true; it receives their runtime arguments. */
  readonly capabilities: readonly string[];
  readonly raw: JsonObject;
}

/** A network: a `.conflist` file, or a `.conf` turned into one. */
export interface NetworkConf {
  readonly name: string;
  /** The version of the requests to its plugins; '' when the file has none. */
  readonly cniVersion: string;
  readonly disableCheck: boolean;
  /** Whether an operator has turned the garbage collection of this network off. */
  readonly disableGC: boolean;
  /** Without `loadOnlyInlinedPlugins`, plugins in `<dir>/<name>/*.conf` belong to the network too. */
  readonly loadOnlyInlinedPlugins: boolean;
  readonly plugins: readonly PluginConf[];
  /** The JSON text, stored in libcni's cache with each result. */
  readonly source: string;
}

/** Parses a conflist. FAILED_PRECONDITION names the bad field, such as `plugins[1].type: missing`. */
export function parseConfList(source: string): NetworkConf {
  const raw = parseObject(source);
  const loadOnlyInlinedPlugins = readBoolean(raw, 'loadOnlyInlinedPlugins');
  if (raw.plugins === undefined && loadOnlyInlinedPlugins) throw bad('plugins', 'missing, with loadOnlyInlinedPlugins');
  return {
    name: readNetworkName(raw),
    cniVersion: readVersion(raw),
    disableCheck: readBoolean(raw, 'disableCheck'),
    disableGC: readBoolean(raw, 'disableGC'),
    loadOnlyInlinedPlugins,
    plugins: raw.plugins === undefined ? [] : readPlugins(raw.plugins),
    source,
  };
}

/** Parses a `.conf` or `.json` file: a network of one plugin. */
export function parseSingleConf(source: string): NetworkConf {
  const raw = parseObject(source);
  if (raw.type === undefined && raw.plugins !== undefined) {
    throw bad('type', 'missing; a list of plugins belongs in a .conflist file');
  }
  const plugin = readPlugin(raw, '');
  const name = readNetworkName(raw);
  const cniVersion = readVersion(raw);
  const flags = { disableCheck: false, disableGC: false, loadOnlyInlinedPlugins: false };
  return withPlugins({ name, cniVersion, ...flags }, [plugin]);
}

/** Parses a plugin's file from the network's own directory. */
export const parsePluginConf = (source: string): PluginConf => readPlugin(parseObject(source), '');

/** Returns the network with `plugins` and a `source` that has them all inline, whatever files they came from. */
export function withPlugins(
  network: Omit<NetworkConf, 'plugins' | 'source'>,
  plugins: readonly PluginConf[],
): NetworkConf {
  const { name, cniVersion, disableCheck, disableGC } = network;
  const list = {
    name,
    cniVersion,
    ...(disableCheck ? { disableCheck } : {}),
    ...(disableGC ? { disableGC } : {}),
    loadOnlyInlinedPlugins: true,
    plugins: plugins.map((plugin) => plugin.raw),
  };
  return { ...list, disableCheck, disableGC, plugins, source: JSON.stringify(list) };
}

// The characters that CNI allows in network names and container ids (CNI spec 1.1.0, "Section 1" and "Section 2").
const NAME = /^[a-zA-Z0-9][a-zA-Z0-9_.-]*$/;

/** Whether `id` is a valid CNI_CONTAINERID. */
export const isCniName = (id: string): boolean => NAME.test(id);

const bad = (field: string, problem: string): CriError =>
  new CriError('FAILED_PRECONDITION', field ? `${field}: ${problem}` : problem);

function parseObject(source: string): JsonObject {
  let value: unknown;
  try {
    value = JSON.parse(source);
  } catch (thrown) {
    throw new CriError('FAILED_PRECONDITION', `not JSON: ${CriError.from(thrown).message}`, { cause: thrown });
  }
  if (!isObject(value)) throw bad('', `expected an object, found ${jsonType(value)}`);
  return value;
}

function readString(raw: JsonObject, field: string, path = field): string {
  const value = raw[field];
  if (value === undefined) return '';
  if (typeof value !== 'string') throw bad(path, `expected a string, found ${jsonType(value)}`);
  return value;
}

function readNetworkName(raw: JsonObject): string {
  const name = readString(raw, 'name');
  if (name === '') throw bad('name', 'missing');
  if (!NAME.test(name)) throw bad('name', `${JSON.stringify(name)} has characters that CNI does not allow`);
  return name;
}

/** Reads a boolean, or the text "true" or "false" in any case, as libcni does. */
function readBoolean(raw: JsonObject, field: string): boolean {
  const value = raw[field];
  if (value === undefined || typeof value === 'boolean') return value ?? false;
  const text = typeof value === 'string' ? value.toLowerCase() : undefined;
  if (text !== 'true' && text !== 'false') throw bad(field, `expected true or false, found ${JSON.stringify(value)}`);
  return text === 'true';
}

/**
 * Returns `cniVersion`, or the newest of `cniVersions` that crid supports (CNI spec 1.1.0, "Version considerations").
 */
function readVersion(raw: JsonObject): string {
  const single = readString(raw, 'cniVersion');
  if (single !== '' && !parseVersion(single)) throw bad('cniVersion', `${JSON.stringify(single)} is not a version`);
  const several = raw.cniVersions;
  if (several === undefined) return single;
  if (!Array.isArray(several)) throw bad('cniVersions', `expected a list, found ${jsonType(several)}`);
  const offered = several.map((version: unknown, index) => {
    if (typeof version === 'string' && parseVersion(version)) return version;
    throw bad(`cniVersions[${index}]`, `${JSON.stringify(version)} is not a version`);
  });
  return newestKnown(single === '' ? offered : [...offered, single]) ?? (single || OLDEST_CNI_VERSION);
}

function readPlugins(value: unknown): PluginConf[] {
  if (!Array.isArray(value)) throw bad('plugins', `expected a list, found ${jsonType(value)}`);
  if (value.length === 0) throw bad('plugins', 'empty');
  return value.map((plugin: unknown, index) => {
    if (!isObject(plugin)) throw bad(`plugins[${index}]`, `expected an object, found ${jsonType(plugin)}`);
    return readPlugin(plugin, `plugins[${index}].`);
  });
}

function readPlugin(raw: JsonObject, prefix: string): PluginConf {
  const type = readString(raw, 'type', `${prefix}type`);
  if (type === '') throw bad(`${prefix}type`, 'missing');
  // A type is a file name in the binary directories; a slash could reach outside them.
  if (type.includes('/')) throw bad(`${prefix}type`, `${JSON.stringify(type)} must not contain a slash`);
  const capabilities = raw.capabilities ?? {};
  if (!isObject(capabilities)) {
    throw bad(`${prefix}capabilities`, `expected an object, found ${jsonType(capabilities)}`);
  }
  return { type, capabilities: Object.keys(capabilities).filter((name) => capabilities[name] === true), raw };
}
