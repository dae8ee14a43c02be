import { readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Architecture } from '../stack/architectures.js';
import { processes, statOf } from '../stack/leftovers.js';
import type { SshTarget } from './ssh.js';

/** The contents of `machine.json` in the folder of a running machine. */
export interface MachineFile extends SshTarget {
  readonly architecture: Architecture;
  readonly shares: readonly string[];
}

interface Owner {
  readonly pid: number;
  /** In clock ticks after boot, because pids are reused. */
  readonly started: string;
}

const FILE = 'machine.json';

/** Records how to reach the machine, and that this process owns it. */
export async function writeMachine(file: MachineFile): Promise<void> {
  const owner: Owner = { pid: process.pid, started: (await statOf(process.pid))?.startTicks ?? '' };
  await writeFile(join(file.dir, FILE), JSON.stringify({ ...file, owner }));
}

export const readMachine = async (dir: string): Promise<MachineFile> =>
  JSON.parse(await readFile(join(dir, FILE), 'utf8')) as MachineFile;

/** Ends the machines of processes that were killed before they could end them. */
export async function sweepMachines(): Promise<void> {
  for (const name of await readdir(tmpdir())) {
    if (!name.startsWith('crid-vm-')) continue;
    const dir = join(tmpdir(), name);
    const text = await readFile(join(dir, FILE), 'utf8').catch(() => '');
    const owner = /"owner":(\{[^}]*\})/.exec(text)?.[1];
    if (owner === undefined) continue;
    const { pid, started } = JSON.parse(owner) as Owner;
    if ((await statOf(pid))?.startTicks === started) continue;
    for (const { pid: left, args } of await processes()) {
      if (args.some((arg) => arg.includes(`${dir}/`))) process.kill(left, 'SIGKILL');
    }
    await rm(dir, { recursive: true, force: true });
  }
}
