import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { onDispose } from '../../../tools/stack/disposers.js';
import { run, which } from '../../../tools/stack/exec.js';
import type { Stack } from '../../../tools/stack/stack.js';
import type { FloorTimer } from './floor-timer.js';
import { output } from './program.js';

const CONF_FILE = '10-crid.conflist';
const IP = which('ip') ?? 'ip';

interface Conf {
  readonly cniVersion: string;
  readonly name: string;
  readonly plugins: readonly { readonly type: string }[];
}

/** Calls the plugins of the benchmark's network one by one, as a CRI server does for a pod without host ports. */
export async function cniFloor(timer: FloorTimer, stack: Stack, rounds: number): Promise<void> {
  const { plugins, ...common } = JSON.parse(await readFile(join(stack.cniConfDir, CONF_FILE), 'utf8')) as Conf;
  const netns = `crid-floor-${process.pid}`;
  await run(IP, ['netns', 'add', netns]);
  const removeNetns = onDispose(`network namespace ${netns}`, async () => {
    await run(IP, ['netns', 'delete', netns]);
  });
  const call = (command: 'ADD' | 'DEL', id: string, conf: { type: string }): Promise<string> =>
    output(join(stack.cniBinDir, conf.type), [], {
      input: JSON.stringify({ ...common, ...conf }),
      env: {
        PATH: `${process.env['PATH']}:/usr/sbin:/sbin`,
        CNI_COMMAND: command,
        CNI_CONTAINERID: id,
        CNI_NETNS: `/run/netns/${netns}`,
        CNI_IFNAME: 'eth0',
        CNI_PATH: stack.cniBinDir,
      },
    });
  const conf = (type: string): { type: string } => {
    const found = plugins.find((plugin) => plugin.type === type);
    if (!found) throw new Error(`${CONF_FILE} has no plugin ${type}`);
    return found;
  };
  await timer.rounds(rounds, async (round) => {
    const id = `floor-${process.pid}-${round + 1}`;
    const hostLocal = { ...conf('bridge'), type: 'host-local' };
    await timer.time('a program that does nothing (`true`)', () => output('true', []));
    await timer.time('CNI: host-local ADD', () => call('ADD', `${id}-ipam`, hostLocal));
    await timer.time('CNI: host-local DEL', () => call('DEL', `${id}-ipam`, hostLocal));
    const result = await timer.time('CNI: bridge ADD, which runs host-local', () => call('ADD', id, conf('bridge')));
    const portmap = { ...conf('portmap'), prevResult: JSON.parse(result) as unknown };
    await timer.time('CNI: portmap ADD', () => call('ADD', id, portmap));
    await timer.time('CNI: portmap DEL', () => call('DEL', id, portmap));
    await timer.time('CNI: bridge DEL, which runs host-local', () => call('DEL', id, conf('bridge')));
  });
  await removeNetns();
}
