import { chmod, mkdir, mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { basename, join } from 'node:path';
import type { TestContext } from 'node:test';
import { pino } from 'pino';
import { createNetwork, type NetworkOptions } from '../../../src/network/create-network.js';
import type { Network, NetworkPod } from '../../../src/network/network.js';

/** Shell commands of a fake plugin for each verb. Its stdin is already read. */
export interface Behaviour {
  readonly add?: string;
  readonly del?: string;
  readonly status?: string;
  readonly gc?: string;
}

export interface Lab {
  readonly dir: string;
  readonly confDir: string;
  readonly cacheDir: string;
  plugin(type: string, behaviour?: Behaviour): Promise<void>;
  conf(file: string, content: unknown): Promise<void>;
  /** Returns every run so far in order, as `ADD bridge eth0`, without those of loopback. */
  calls(): Promise<string[]>;
  /** Returns what a plugin read on stdin in its last run. */
  input(type: string, verb: string): Promise<Record<string, unknown>>;
  /** Returns the CNI_ variables of that run, sorted. */
  variables(type: string, verb: string): Promise<string[]>;
  cached(): Promise<string[]>;
  network(options?: Partial<NetworkOptions>): Network;
}

/** Creates folders, fake plugins in them as shell scripts, and networks that are closed when the test ends. */
export async function createLab(t: TestContext): Promise<Lab> {
  const dir = await mkdtemp(join(tmpdir(), 'crid-cni-'));
  t.after(() => rm(dir, { recursive: true, force: true }));
  const binDir = join(dir, 'bin');
  const confDir = join(dir, 'net.d');
  const cacheDir = join(dir, 'cache');
  await Promise.all([mkdir(binDir), mkdir(confDir), mkdir(join(dir, 'seen'))]);
  const seen = (name: string): Promise<string> => readFile(join(dir, 'seen', name), 'utf8').catch(() => '');

  const lab: Lab = {
    dir,
    confDir,
    cacheDir,
    async plugin(type, behaviour = {}) {
      const path = join(binDir, type);
      await writeFile(path, script(dir, type, behaviour));
      await chmod(path, 0o755);
    },
    conf: (file, content) =>
      writeFile(join(confDir, file), typeof content === 'string' ? content : JSON.stringify(content)),
    async calls() {
      return (await seen('calls')).split('\n').filter((line) => line !== '' && !line.includes(' loopback '));
    },
    input: async (type, verb) => JSON.parse(await seen(`${type}.${verb}.stdin`)) as Record<string, unknown>,
    variables: async (type, verb) => (await seen(`${type}.${verb}.env`)).trim().split('\n').sort(),
    cached: async () => (await readdir(join(cacheDir, 'results')).catch(() => [])).map((name) => basename(name)).sort(),
    network(options = {}) {
      const network = createNetwork({
        binDirs: [join(dir, 'none'), binDir],
        confDir,
        cacheDir,
        maxConfNum: 1,
        setupSerially: false,
        useInternalLoopback: false,
        ipPref: '',
        log: pino({ level: 'silent' }),
        ...options,
      });
      t.after(() => network.close());
      return network;
    },
  };
  await lab.plugin('loopback', { add: answer({ interfaces: [{ name: 'lo' }] }) });
  return lab;
}

/** A shell command that prints a result. */
export const answer = (result: unknown): string => `printf '%s' '${JSON.stringify(result)}'`;

/** A shell command that fails as the CNI spec requires. */
export const fail = (msg: string, code = 999): string => `printf '%s' '${JSON.stringify({ code, msg })}'; exit 1`;

/** An ADD that gives eth0 one address. */
export const oneAddress = answer({
  cniVersion: '1.0.0',
  interfaces: [{ name: 'eth0', mac: '02:00:00:00:00:01', sandbox: '/proc/self/ns/net' }],
  ips: [{ address: '10.9.0.2/24', gateway: '10.9.0.1', interface: 0 }],
  routes: [{ dst: '0.0.0.0/0' }],
});

export const pod = (more: Partial<NetworkPod> = {}): NetworkPod => ({
  id: 'pod1',
  name: 'web',
  namespace: 'default',
  uid: 'uid-1',
  annotations: {},
  // Any existing namespace works, because the fake plugins do nothing in it.
  netnsPath: '/proc/self/ns/net',
  cgroupParent: '',
  portMappings: [],
  ...more,
});

export const never = (): AbortSignal => new AbortController().signal;

const script = (
  dir: string,
  type: string,
  { add = oneAddress, del = ':', status = ':', gc = ':' }: Behaviour,
): string => `#!/bin/sh
seen=${dir}/seen/${type}.$CNI_COMMAND
cat > $seen.stdin
env | grep ^CNI_ > $seen.env
echo "$CNI_COMMAND ${type} $CNI_IFNAME" >> ${dir}/seen/calls
case $CNI_COMMAND in
ADD) ${add} ;;
DEL) ${del} ;;
STATUS) ${status} ;;
GC) ${gc} ;;
esac
`;
