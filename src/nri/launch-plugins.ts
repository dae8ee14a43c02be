import { spawn, type ChildProcess } from 'node:child_process';
import { readdir, readFile, stat } from 'node:fs/promises';
import type { Socket } from 'node:net';
import { join } from 'node:path';
import { CriError } from '../base/errors.js';
import type { Launched } from './plugin.js';

const FILE_NAME = /^([0-9]{2})-([A-Za-z0-9_.+-]{1,128})$/;
const EXECUTABLE = 0o111;
const SOCKET_FD = 3;

export interface PluginFile extends Launched {
  readonly path: string;
}

/**
 * Returns the executables of the plugin folder with their configuration: `NN-NAME.conf`, else `NAME.conf`. A folder
 * that does not exist has none. `onBad` gets the problem of a file that cannot be launched.
 */
export async function discoverPlugins(
  folder: string,
  configFolder: string,
  onBad: (path: string, problem: string) => void,
): Promise<PluginFile[]> {
  const names = (await readdir(folder).catch(unlessMissing)) ?? [];
  const found: PluginFile[] = [];
  for (const file of names.sort()) {
    const path = join(folder, file);
    const facts = await stat(path).catch(unlessMissing);
    if (!facts?.isFile() || (facts.mode & EXECUTABLE) === 0) continue;
    const [, index, name] = FILE_NAME.exec(file) ?? [];
    if (index === undefined || name === undefined) {
      onBad(path, 'the name of a plugin is NN-NAME, with two digits');
      continue;
    }
    const config = await firstOf([join(configFolder, `${file}.conf`), join(configFolder, `${name}.conf`)]);
    found.push({ path, instance: { name, index }, config });
  }
  return found;
}

/** Starts a plugin with its end of the connection as fd 3. Its output goes nowhere, as with other runtimes. */
export async function launchPlugin({ path, instance }: PluginFile): Promise<{ socket: Socket; child: ChildProcess }> {
  const env = {
    NRI_PLUGIN_NAME: instance.name,
    NRI_PLUGIN_IDX: instance.index,
    NRI_PLUGIN_SOCKET: String(SOCKET_FD),
  };
  const child = spawn(path, [], { env, cwd: '/', stdio: ['ignore', 'ignore', 'ignore', 'pipe'] });
  await new Promise<void>((resolve, reject) => {
    child.once('spawn', resolve);
    child.once('error', ({ message }) => reject(new CriError('UNAVAILABLE', `launch "${path}": ${message}`)));
  });
  return { socket: child.stdio[SOCKET_FD] as Socket, child };
}

async function firstOf(paths: readonly string[]): Promise<string> {
  for (const path of paths) {
    const text = await readFile(path, 'utf8').catch(unlessMissing);
    if (text !== undefined) return text;
  }
  return '';
}

function unlessMissing(error: NodeJS.ErrnoException): undefined {
  if (error.code !== 'ENOENT') throw error;
}
