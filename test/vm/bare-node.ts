import { existsSync } from 'node:fs';
import { rename, rm } from 'node:fs/promises';
import { run } from '../../tools/stack/exec.js';
import { systemctl } from './unit.js';

const LIMIT_MS = 600_000;
/** The node's Node.js, and the crid that the other tests use: they are renamed meanwhile. */
const OTHERS = ['/usr/bin/node', '/usr/bin/npm', '/usr/local/bin/crid', '/etc/systemd/system/crid.service'];
const CACHE = '/var/cache/crid';
/** The folders that may have a file of a package. */
const FOLDERS = ['/etc', '/opt', '/root', '/usr', '/var'];
/** Written by containerd, CNI plugins, the kubelet, dpkg and systemd, whatever package is installed. */
const NOT_OF_CRID = /^\/var\/(lib\/(containerd|cni|kubelet)(\/|$)|lib\/dpkg\/[a-z]+-old$|log\/|cache\/node\/)/;

/** A node that has no Node.js, no npm and no crid. */
export interface BareNode {
  /** Returns the files that were not there at first. */
  added(): Promise<string[]>;
  /** Purges crid's package and gives the node its Node.js and the tests' crid back, which is stopped. */
  giveBack(): Promise<void>;
}

export async function bareNode(): Promise<BareNode> {
  await systemctl('stop', 'crid');
  await rm(CACHE, { recursive: true, force: true });
  for (const path of OTHERS) if (existsSync(path)) await rename(path, aside(path));
  await systemctl('daemon-reload');
  const before = new Set(await files());
  return {
    added: async () => (await files()).filter((path) => !before.has(path)),
    async giveBack() {
      await dpkg('--purge', 'crid');
      for (const path of OTHERS) if (existsSync(aside(path))) await rename(aside(path), path);
      await systemctl('daemon-reload');
    },
  };
}

/** Returns what dpkg and the package's scripts write to both streams. */
export const dpkg = (...args: string[]): Promise<string> =>
  run('sh', ['-c', 'exec dpkg "$@" 2>&1', 'sh', ...args], { timeoutMs: LIMIT_MS });

const aside = (path: string): string => `${path}.aside`;

async function files(): Promise<string[]> {
  const listed = await run('find', [...FOLDERS, '-xdev', '-print'], { timeoutMs: LIMIT_MS });
  return listed.split('\n').filter((path) => path !== '' && !NOT_OF_CRID.test(path));
}
