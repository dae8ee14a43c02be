import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { access, mkdir, mkdtemp, readdir, readFile, rm, utimes, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { before, test, type TestContext } from 'node:test';
import { promisify } from 'node:util';
import { pino } from 'pino';
import { removeNetns } from '../../../src/host/namespace/netns.js';
import { pinNamespaces } from '../../../src/host/namespace/pin-namespaces.js';
import { createNetwork } from '../../../src/network/create-network.js';
import type { Network, NetworkPod } from '../../../src/network/network.js';

// Names and addresses derived from this process's pid: another run of the tests may use this host.
const OWN = 1 + (process.pid % 250);
const BRIDGE = `crid-net-${process.pid % 1_000_000}`;
const HOST_PORT = 28_000 + OWN * 16;
const SUBNET = `10.199.${OWN}`;
const SUBNET6 = `fd77:c71d:0:${OWN}:`;
const binDir = process.env.CRID_TEST_CNI_BIN ?? '/opt/cni/bin';

const run = async (command: string, ...args: string[]): Promise<string> =>
  (await promisify(execFile)(command, args)).stdout;

before(async () => {
  for (const plugin of ['bridge', 'host-local', 'loopback', 'portmap']) {
    await access(join(binDir, plugin)).catch(() => {
      throw new Error(`no CNI plugin ${plugin} in ${binDir}: set CRID_TEST_CNI_BIN to their directory`);
    });
  }
});

interface Lab {
  readonly network: Network;
  readonly confFile: string;
  readonly cacheDir: string;
  pod(number: number): Promise<NetworkPod>;
  leases(): Promise<string[]>;
}

async function createLab(t: TestContext, options: { ipMasq: boolean; cniVersion?: string }): Promise<Lab> {
  const dir = await mkdtemp(join(tmpdir(), 'crid-net-test-'));
  const [confDir, cacheDir, dataDir] = [join(dir, 'net.d'), join(dir, 'cache'), join(dir, 'ipam')];
  const confFile = join(confDir, '10-test.conflist');
  await mkdir(confDir);
  await writeFile(confFile, JSON.stringify(conflist(dataDir, options.ipMasq, options.cniVersion)));
  const network = createNetwork({
    binDirs: [binDir],
    confDir,
    cacheDir,
    maxConfNum: 1,
    setupSerially: false,
    useInternalLoopback: false,
    ipPref: '',
    log: pino({ level: 'silent' }),
  });
  const pods: NetworkPod[] = [];
  t.after(async () => {
    for (const each of pods) {
      await network.detach(each, forever()).catch(() => undefined);
      await removeNetns(each.netnsPath);
    }
    network.close();
    await run('ip', 'link', 'delete', BRIDGE).catch(() => undefined);
    await rm(dir, { recursive: true, force: true });
  });
  return {
    network,
    confFile,
    cacheDir,
    async pod(number) {
      const name = `${BRIDGE}-${process.pid}-${number}`;
      const made = pod(name, number);
      await pinNamespaces({ paths: { net: made.netnsPath } });
      pods.push(made);
      return made;
    },
    async leases() {
      const files = await readdir(join(dataDir, BRIDGE)).catch(() => []);
      return files.filter((file) => /^[\da-f:.]+$/.test(file)).sort();
    },
  };
}

const conflist = (dataDir: string, ipMasq: boolean, cniVersion = '1.0.0'): unknown => ({
  cniVersion,
  name: BRIDGE,
  plugins: [
    {
      type: 'bridge',
      bridge: BRIDGE,
      isGateway: true,
      ipMasq,
      ipam: {
        type: 'host-local',
        dataDir,
        ranges: [[{ subnet: `${SUBNET}.0/24` }], [{ subnet: `${SUBNET6}:/64` }]],
        routes: [{ dst: '0.0.0.0/0' }, { dst: '::/0' }],
      },
    },
    { type: 'portmap', capabilities: { portMappings: true } },
  ],
});

const pod = (name: string, number: number): NetworkPod => ({
  id: name,
  name,
  namespace: 'default',
  uid: name,
  annotations: {},
  netnsPath: `/run/netns/${name}`,
  cgroupParent: '',
  portMappings: [{ hostPort: HOST_PORT + number, containerPort: 80, protocol: 'tcp', hostIP: '' }],
});

const forever = (): AbortSignal => AbortSignal.timeout(60_000);

/** Returns the lines of the host's packet filter, iptables or nftables, that mention the pod or its port. */
async function rulesOf(each: NetworkPod): Promise<string[]> {
  const rules = await Promise.all([
    run('iptables-save', '-t', 'nat').catch(() => ''),
    run('ip6tables-save', '-t', 'nat').catch(() => ''),
    run('nft', 'list', 'ruleset').catch(() => ''),
  ]);
  const port = String(each.portMappings[0]?.hostPort);
  return rules
    .join('\n')
    .split('\n')
    .filter((line) => line.includes(each.id) || line.includes(port));
}

async function addressesIn(netns: string): Promise<Record<string, string[]>> {
  const links = JSON.parse(await run('ip', '-n', netns, '-json', 'address', 'show')) as {
    ifname: string;
    flags: string[];
    addr_info: { local: string; scope: string }[];
  }[];
  return Object.fromEntries(
    links.map(({ ifname, flags, addr_info: list }) => [
      ifname,
      [
        ...(flags.includes('UP') ? ['UP'] : []),
        ...list.filter(({ scope }) => scope !== 'link').map(({ local }) => local),
      ],
    ]),
  );
}

test('bridge, host-local, portmap and loopback: attached, cached, and detached completely', async (t) => {
  const lab = await createLab(t, { ipMasq: true });
  const one = await lab.pod(1);
  const { result, ips } = await lab.network.attach(one, forever());
  assert.deepEqual(
    {
      ips,
      interfaces: Object.keys(result.Interfaces).filter((name) => !name.startsWith('veth')),
      eth0: { ...result.Interfaces.eth0, Mac: '' },
      lo: result.Interfaces.lo?.IPConfigs,
      routes: result.Routes,
      inside: await addressesIn(one.name),
      leases: await lab.leases(),
      cache: (await readdir(join(lab.cacheDir, 'results'))).sort(),
    },
    {
      ips: [`${SUBNET}.2`, `${SUBNET6}:2`],
      interfaces: [BRIDGE, 'eth0', 'lo'],
      eth0: {
        IPConfigs: [
          { IP: `${SUBNET}.2`, Gateway: `${SUBNET}.1` },
          { IP: `${SUBNET6}:2`, Gateway: `${SUBNET6}:1` },
        ],
        Mac: '',
        Sandbox: one.netnsPath,
        PciID: '',
        SocketPath: '',
      },
      lo: [
        { IP: '127.0.0.1', Gateway: '' },
        { IP: '::1', Gateway: '' },
      ],
      routes: [{ dst: '0.0.0.0/0' }, { dst: '::/0' }],
      inside: { lo: ['UP', '127.0.0.1', '::1'], eth0: ['UP', `${SUBNET}.2`, `${SUBNET6}:2`] },
      leases: [`${SUBNET}.2`, `${SUBNET6}:2`],
      cache: [`cni-loopback-${one.id}-lo`, `${BRIDGE}-${one.id}-eth0`],
    },
  );
  assert.notDeepEqual(await rulesOf(one), []);

  await rm(lab.confFile);
  await lab.network.detach(one, forever());
  assert.deepEqual(
    {
      inside: Object.keys(await addressesIn(one.name)),
      leases: await lab.leases(),
      cache: await readdir(join(lab.cacheDir, 'results')),
      rules: await rulesOf(one),
    },
    { inside: ['lo'], leases: [], cache: [], rules: [] },
  );
});

test('detach releases the address and the port if the namespace is missing', async (t) => {
  // With ipMasq the bridge plugin would leave its rules: it reads a pod's addresses only from the namespace.
  const lab = await createLab(t, { ipMasq: false });
  const two = await lab.pod(2);
  await lab.network.attach(two, forever());
  await removeNetns(two.netnsPath);
  await lab.network.detach(two, forever());
  await lab.network.detach(two, forever());
  assert.deepEqual({ leases: await lab.leases(), rules: await rulesOf(two) }, { leases: [], rules: [] });
});

test('libcni can read a cache file', async (t) => {
  const lab = await createLab(t, { ipMasq: true });
  const three = await lab.pod(3);
  await lab.network.attach(three, forever());
  const text = await readFile(join(lab.cacheDir, 'results', `${BRIDGE}-${three.id}-eth0`), 'utf8');
  const cached = JSON.parse(text) as Record<string, unknown> & { result: { cniVersion: string } };
  assert.deepEqual(
    [Object.keys(cached), cached.result.cniVersion],
    [
      ['kind', 'containerId', 'config', 'ifName', 'networkName', 'netns', 'cniArgs', 'capabilityArgs', 'result'],
      '1.0.0',
    ],
  );
  await lab.network.detach(three, forever());
});

test('pods of one network are attached side by side', async (t) => {
  const lab = await createLab(t, { ipMasq: true });
  const pods = await Promise.all([4, 5, 6, 7].map((number) => lab.pod(number)));
  const attached = await Promise.all(pods.map((each) => lab.network.attach(each, forever())));
  assert.equal(new Set(attached.map(({ ips }) => ips[0])).size, pods.length);
  await Promise.all(pods.map((each) => lab.network.detach(each, forever())));
  assert.deepEqual(await lab.leases(), []);
});

test('garbage: an address that no pod has any more is released, those of live pods stay', async (t) => {
  const lab = await createLab(t, { ipMasq: false, cniVersion: '1.1.0' });
  const [mine, stopped, others, leaked] = await Promise.all([1, 2, 3, 4].map((number) => lab.pod(number)));
  assert.ok(mine && stopped && others && leaked);
  for (const each of [mine, stopped, others, leaked]) await lab.network.attach(each, forever());
  // As a reboot leaves a pod that the kubelet has not stopped yet, and one that no server knows any more.
  for (const { netnsPath } of [stopped, leaked]) await removeNetns(netnsPath);
  const before = (await lab.leases()).length;
  const anHourAgo = Date.now() / 1000 - 3600;
  await utimes(join(lab.cacheDir, 'results', `${BRIDGE}-${leaked.id}-eth0`), anHourAgo, anHourAgo);
  const ids = [mine.id, stopped.id];
  const attached = () => ids.map((id) => ({ id, interfaces: ['eth0'] }));
  const pods = { attached, mayBeAttached: (id: string) => ids.includes(id) };
  assert.equal(await lab.network.collectGarbage(pods, forever()), true);
  assert.deepEqual(
    (await readdir(join(lab.cacheDir, 'results'))).filter((name) => name.endsWith('-eth0')).sort(),
    [mine, stopped, others].map(({ id }) => `${BRIDGE}-${id}-eth0`).sort(),
  );
  assert.equal((await lab.leases()).length, (before / 4) * 3);
});
