import { basename, dirname, join } from 'node:path';
import { globExpression } from '../base/glob-expression.js';
import type { MoveNode, NodeFiles } from './move-node.js';
import { askUnitFiles } from './units.js';

/** The folders of systemd's units. A file in an earlier one masks the file of the same name in a later one. */
const UNIT_FOLDERS = [
  '/etc/systemd/system',
  '/run/systemd/system',
  '/usr/local/lib/systemd/system',
  '/usr/lib/systemd/system',
  '/lib/systemd/system',
];
const UNIT = 'kubelet.service';
/** Where a kubelet has its variables, if its unit cannot be asked. */
const ENVIRONMENT_FILES = ['/var/lib/kubelet/kubeadm-flags.env', '/etc/default/kubelet', '/etc/sysconfig/kubelet'];

export interface KubeletUnit {
  /** The unit and its drop-ins: a later file overrides those before it. */
  readonly units: readonly string[];
  /** The files of environment variables, which override those of the units, in the same order. */
  readonly environment: readonly string[];
}

/**
 * Returns the paths of the files that make kubelet.service. They come from systemd, or from the usual folders where
 * systemd has no such unit or has not read it since it was changed.
 */
export async function kubeletUnit(node: NodeFiles & Pick<MoveNode, 'run'>): Promise<KubeletUnit> {
  const asked = await askUnitFiles(node, 'kubelet');
  if (asked) return { units: asked.units, environment: await expandAll(node, asked.environment) };
  const units = await unitsInFolders(node);
  const named = await environmentOf(node, units);
  return { units, environment: [...new Set([...ENVIRONMENT_FILES, ...(await expandAll(node, named))])] };
}

/** Whether systemd reads the file. */
export const isUnitFile = (path: string): boolean => UNIT_FOLDERS.some((folder) => path.startsWith(`${folder}/`));

async function unitsInFolders(node: NodeFiles): Promise<string[]> {
  let unit: string | undefined;
  const dropIns = new Map<string, string>();
  for (const folder of UNIT_FOLDERS.toReversed()) {
    const below = `${folder}/${UNIT}.d`;
    if ((await node.names(folder)).includes(UNIT)) unit = `${folder}/${UNIT}`;
    for (const name of await node.names(below)) {
      if (name.endsWith('.conf')) dropIns.set(name, `${below}/${name}`);
    }
  }
  const sorted = [...dropIns.keys()].sort().map((name) => dropIns.get(name) ?? '');
  return unit === undefined ? sorted : [unit, ...sorted];
}

/** Returns the `EnvironmentFile=` of the units; an empty one removes those before it. */
async function environmentOf(node: NodeFiles, units: readonly string[]): Promise<string[]> {
  let paths: string[] = [];
  for (const unit of units) {
    // A file that cannot be read is an obstacle where it is read for its flags.
    const file = await node.read(unit).catch(() => undefined);
    for (const [, value = ''] of file?.text.matchAll(/^[ \t]*EnvironmentFile[ \t]*=[ \t]*-?(\S*)/gm) ?? []) {
      paths = value === '' ? [] : [...paths, value];
    }
  }
  return paths;
}

/** A pattern may stand in the last part of a path. */
async function expandAll(node: NodeFiles, paths: readonly string[]): Promise<string[]> {
  const expanded = paths.map(async (path) => {
    const matches = /[*?[]/.test(path) ? globExpression(basename(path)) : undefined;
    if (!matches) return [path];
    return (await node.names(dirname(path)))
      .filter((name) => matches.test(name))
      .map((name) => join(dirname(path), name));
  });
  return (await Promise.all(expanded)).flat();
}
