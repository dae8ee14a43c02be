import { access, constants } from 'node:fs/promises';
import { join } from 'node:path';
import type { RuntimeConfig } from '../config/schema.js';
import { loadConfDir } from '../network/conf-dir.js';
import type { NetworkConf } from '../network/conf-list.js';
import { isObject } from '../network/json.js';
import { fault, ok, type Finding } from './finding.js';

/** Reports each network that pods get, and whether the programs of its plugins exist. */
export async function checkNetwork({ cni }: RuntimeConfig): Promise<Finding[]> {
  const { networks, error } = await loadConfDir(cni.conf_dir, cni.max_conf_num);
  if (error !== '') return [fault('network', error)];
  return Promise.all(networks.map((network) => checkPlugins(network, cni.bin_dirs)));
}

async function checkPlugins(network: NetworkConf, binDirs: readonly string[]): Promise<Finding> {
  const types = [...new Set(network.plugins.flatMap(({ type, raw }) => [type, ...ipamOf(raw)]))];
  const found = await Promise.all(types.map((type) => isInOneOf(binDirs, type)));
  const missing = types.filter((_, index) => !found[index]);
  return missing.length === 0
    ? ok(`network ${network.name}`, `plugins ${types.join(', ')}`)
    : fault(`network ${network.name}`, `no ${missing.join(', no ')} in ${binDirs.join(' or ')}`);
}

const ipamOf = ({ ipam }: NetworkConf['plugins'][number]['raw']): string[] =>
  isObject(ipam) && typeof ipam['type'] === 'string' ? [ipam['type']] : [];

async function isInOneOf(folders: readonly string[], program: string): Promise<boolean> {
  const looks = folders.map((folder) => access(join(folder, program), constants.X_OK));
  return (await Promise.allSettled(looks)).some(({ status }) => status === 'fulfilled');
}
