import { existsSync } from 'node:fs';
import { mkdir, readdir, rm, writeFile } from 'node:fs/promises';
import { networkInterfaces } from 'node:os';
import { join } from 'node:path';
import { run, which } from './exec.js';

/** The bridge of one stack, `crid<N>` with 10.N.0.0/16, and the CNI configuration that uses it. */
export interface Bridge {
  /** The name of the bridge and of the CNI network. */
  readonly name: string;
  readonly subnet: string;
  readonly confDir: string;
  /** The folder in which host-local keeps the addresses in use. */
  readonly dataDir: string;
}

const FIRST = 200;
const LAST = 254;
const CACHE = '/var/lib/cni/results';
/** Chains that the portmap plugin creates once for all networks. */
const PORTMAP_CHAINS = ['CNI-HOSTPORT-DNAT', 'CNI-HOSTPORT-MASQ', 'CNI-HOSTPORT-SETMARK'];

/** Picks a free number and creates the bridge at once, so that two stacks that start in parallel get different ones. */
export async function createBridge(dir: string): Promise<Bridge> {
  const taken = Object.values(networkInterfaces())
    .flat()
    .map((address) => address?.address ?? '');
  for (let number = FIRST; number <= LAST; number++) {
    const name = `crid${number}`;
    if (existsSync(`/sys/class/net/${name}`) || taken.some((address) => address.startsWith(`10.${number}.`))) continue;
    if (!(await made(name))) continue;
    const [confDir, dataDir] = [join(dir, 'net.d'), join(dir, 'ipam')];
    const bridge = { name, subnet: `10.${number}.0.0/16`, confDir, dataDir };
    await mkdir(confDir, { recursive: true });
    await writeFile(join(confDir, '10-crid.conflist'), `${JSON.stringify(conflist(bridge), undefined, 2)}\n`);
    return bridge;
  }
  throw new Error(`every bridge from crid${FIRST} to crid${LAST} is taken`);
}

/** Removes the bridge, and what its pods left in packet filters and in libcni's cache. */
export async function removeBridge(name: string): Promise<void> {
  if (existsSync(`/sys/class/net/${name}`)) await ip('link', 'delete', name);
  for (const family of ['iptables', 'ip6tables']) await removeRules(family, name);
  for (const file of await readdir(CACHE).catch(() => [])) {
    if (file.startsWith(`${name}-`)) await rm(join(CACHE, file), { force: true });
  }
}

async function made(name: string): Promise<boolean> {
  try {
    await ip('link', 'add', name, 'type', 'bridge');
    return true;
  } catch (error) {
    if (existsSync(`/sys/class/net/${name}`)) return false;
    throw error;
  }
}

const conflist = ({ name, subnet, dataDir }: Bridge): unknown => ({
  cniVersion: '1.0.0',
  name,
  plugins: [
    {
      type: 'bridge',
      bridge: name,
      isGateway: true,
      ipMasq: true,
      hairpinMode: true,
      ipam: { type: 'host-local', dataDir, ranges: [[{ subnet }]], routes: [{ dst: '0.0.0.0/0' }] },
    },
    { type: 'portmap', capabilities: { portMappings: true } },
  ],
});

/** Removes the rules of one network. The plugins name the network in each rule's comment: `name: \"crid200\" id: …`. */
async function removeRules(family: string, network: string): Promise<void> {
  if (!which(`${family}-save`)) return;
  const rules = (await run(which(`${family}-save`) ?? '', ['-t', 'nat']).catch(() => '')).split('\n');
  const ours = rules.filter((rule) => rule.startsWith('-A ') && rule.includes(`\\"${network}\\"`));
  const chains = new Set(ours.flatMap((rule) => [...(rule.match(/\bCNI-(DN-)?[0-9a-f]{8,}/g) ?? [])]));
  const left = rules.filter((rule) => !ours.includes(rule) && ![...chains].some((chain) => rule.includes(chain)));
  // Chains that all networks share are removed with the last network.
  const shared = left.some((rule) => /\bCNI-(DN-)?[0-9a-f]{8}/.test(rule))
    ? []
    : PORTMAP_CHAINS.filter((chain) => rules.some((rule) => rule.startsWith(`:${chain} `)));
  const jumps = left.filter((rule) => rule.startsWith('-A ') && shared.some((chain) => rule.endsWith(`-j ${chain}`)));
  const gone = [...chains, ...shared];
  if (gone.length === 0 && ours.length === 0) return;
  const lines = [
    '*nat',
    ...[...ours, ...jumps].map((rule) => rule.replace(/^-A/, '-D')),
    ...gone.map((chain) => `-F ${chain}`),
    ...gone.map((chain) => `-X ${chain}`),
    'COMMIT',
    '',
  ];
  await run(which(`${family}-restore`) ?? '', ['--noflush', '--wait', '5'], { input: lines.join('\n') });
}

const ip = (...args: string[]): Promise<string> => run(which('ip') ?? 'ip', args);
