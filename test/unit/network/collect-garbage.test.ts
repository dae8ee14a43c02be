import assert from 'node:assert/strict';
import { mkdir, readFile, rename, rm, utimes, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { test } from 'node:test';
import { createAddGate } from '../../../src/network/add-gate.js';
import type { NetworkOptions } from '../../../src/network/create-network.js';
import { createNetnsCheck } from '../../../src/network/netns-check.js';
import type { KnownPods, Network } from '../../../src/network/network.js';
import { createLab, fail, never, pod, type Lab } from './fake-plugins.js';

const known = (...ids: string[]): KnownPods => ({
  attached: () => ids.map((id) => ({ id, interfaces: [] })),
  mayBeAttached: (id) => ids.includes(id),
});
const list = (name: string, more: object = {}) => ({ cniVersion: '1.1.0', name, plugins: [{ type: name }], ...more });

/** A pod without a namespace: what is left when its namespace has been removed without a DEL. */
const GONE = '/nowhere/netns';

const fileOf = ({ cacheDir }: Lab, name: string): string => join(cacheDir, 'results', name);

async function writtenMinutesAgo(lab: Lab, minutes: number, ...names: string[]): Promise<void> {
  const atS = Date.now() / 1000 - minutes * 60;
  for (const name of names) await utimes(fileOf(lab, name), atS, atS);
}

async function twoNetworks(lab: Lab, more: object = {}, options: Partial<NetworkOptions> = {}): Promise<Network> {
  await Promise.all([
    lab.plugin('blue'),
    lab.plugin('red'),
    lab.conf('10.conflist', list('blue', more)),
    lab.conf('20.conflist', list('red')),
  ]);
  const network = lab.network({ maxConfNum: 0, ...options });
  await network.attach(pod({ id: 'mine' }), never());
  await network.attach(pod({ id: 'leaked', netnsPath: GONE }), never());
  await writtenMinutesAgo(lab, 11, 'blue-leaked-eth0', 'red-leaked-eth1');
  return network;
}

/** Returns the calls of plugins in a collection. */
async function callsOf(lab: Lab, network: Network, pods: KnownPods): Promise<string[]> {
  const before = (await lab.calls()).length;
  assert.equal(await network.collectGarbage(pods, never()), true);
  return (await lab.calls()).slice(before);
}

/** Returns the attachments that a plugin's last GC received, as `mine eth0`. */
async function validOf(lab: Lab, plugin: string): Promise<string[]> {
  const input = await lab.input(plugin, 'GC');
  const valid = input['cni.dev/valid-attachments'] as { containerID: string; ifname: string }[];
  assert.deepEqual(input['cni.dev/attachments'], valid);
  return valid.map(({ containerID, ifname }) => `${containerID} ${ifname}`).sort();
}

/** Writes the cached attachment of `mine` to network blue again, with changed fields, as that of `other`. */
async function addOther(lab: Lab, change: object): Promise<void> {
  const mine = JSON.parse(await readFile(fileOf(lab, 'blue-mine-eth0'), 'utf8')) as object;
  const other = JSON.stringify({ ...mine, containerId: 'other', ...change });
  await writeFile(fileOf(lab, 'blue-other-eth0'), other);
  await writtenMinutesAgo(lab, 11, 'blue-other-eth0');
}

test('GC deletes what is left of a container without a namespace, and names the attachments that are valid', async (t) => {
  const lab = await createLab(t);
  const network = await twoNetworks(lab);
  assert.deepEqual(await callsOf(lab, network, known('mine')), [
    ...['DEL blue eth0', 'DEL red eth1', 'GC blue ', 'GC red '],
  ]);
  const both = ['mine eth0', 'mine eth1'];
  assert.deepEqual([await validOf(lab, 'blue'), await validOf(lab, 'red')], [both, both]);
  assert.deepEqual(
    (await lab.variables('red', 'GC')).filter((line) => !line.startsWith('CNI_PATH=')),
    ['CNI_ARGS=', 'CNI_COMMAND=GC', 'CNI_CONTAINERID=', 'CNI_IFNAME=', 'CNI_NETNS='],
  );
  assert.equal(
    (await lab.cached()).some((name) => /^(blue|red)-leaked/.test(name)),
    false,
  );
});

test('a pod that crid knows keeps its attachment although its namespace is gone', async (t) => {
  const lab = await createLab(t);
  const network = await twoNetworks(lab);
  assert.deepEqual(await callsOf(lab, network, known('mine', 'leaked')), ['GC blue ', 'GC red ']);
});

test('a network with an attachment of another program is left alone, also if its namespace is unknown', async (t) => {
  for (const netns of ['/proc/self/ns/net', undefined]) {
    const lab = await createLab(t);
    const network = await twoNetworks(lab);
    await addOther(lab, { netns });
    const calls = ['DEL blue eth0', 'DEL red eth1', 'GC red '];
    assert.deepEqual(await callsOf(lab, network, known('mine')), calls, netns ?? 'unknown');
    assert.ok((await lab.cached()).includes('blue-other-eth0'));
  }
});

test('an attachment that another program adds during the DELs keeps the GC verb away', async (t) => {
  const lab = await createLab(t);
  const network = await twoNetworks(lab);
  await addOther(lab, {});
  await rename(fileOf(lab, 'blue-other-eth0'), join(lab.dir, 'later'));
  await lab.plugin('blue', { del: `mv ${join(lab.dir, 'later')} ${fileOf(lab, 'blue-other-eth0')}` });
  assert.deepEqual(await callsOf(lab, network, known('mine')), ['DEL blue eth0', 'DEL red eth1', 'GC red ']);
});

test('a stale attachment younger than 10 minutes is not deleted, and stays valid', async (t) => {
  const lab = await createLab(t);
  const network = await twoNetworks(lab);
  await writtenMinutesAgo(lab, 9, 'blue-leaked-eth0');
  assert.deepEqual(await callsOf(lab, network, known('mine')), ['DEL red eth1', 'GC blue ', 'GC red ']);
  assert.deepEqual(await validOf(lab, 'blue'), ['leaked eth0', 'mine eth0', 'mine eth1']);
});

test('a file of the cache that cannot be read keeps the GC verb away from its network', async (t) => {
  const change = { config: Buffer.from('{}').toString('base64') };
  const unreadable: Record<string, (lab: Lab, path: string) => Promise<unknown>> = {
    'a torn file': (_, path) => writeFile(path, 'torn'),
    'an older kind': (_, path) => writeFile(path, '{"cniVersion":"1.0.0"}'),
    'a config that crid refuses': (lab) => addOther(lab, change),
    'a directory': (_, path) => mkdir(path),
  };
  for (const [what, write] of Object.entries(unreadable)) {
    const lab = await createLab(t);
    const network = await twoNetworks(lab);
    await write(lab, fileOf(lab, 'blue-other-eth0'));
    const calls = ['DEL blue eth0', 'DEL red eth1', 'GC red '];
    assert.deepEqual(await callsOf(lab, network, known('mine')), calls, what);
  }
});

test('a pod is valid under all names of today and all interfaces that it was given', async (t) => {
  const lab = await createLab(t);
  const network = await twoNetworks(lab);
  // A cache without the pod: only its record tells of it.
  await rm(fileOf(lab, 'blue-mine-eth0'));
  const pods: KnownPods = { ...known('mine'), attached: () => [{ id: 'mine', interfaces: ['eth0', 'eth2'] }] };
  await callsOf(lab, network, pods);
  assert.deepEqual(await validOf(lab, 'blue'), ['mine eth0', 'mine eth1', 'mine eth2']);
});

test('a network of an older version or with disableGC is not collected', async (t) => {
  for (const more of [{ cniVersion: '1.0.0' }, { disableGC: true }]) {
    const lab = await createLab(t);
    const network = await twoNetworks(lab, more);
    assert.deepEqual(await callsOf(lab, network, known('mine')), ['DEL red eth1', 'GC red ']);
  }
});

test('a plugin that fails stops neither the others nor the collection; a failed DEL stays for the next one', async (t) => {
  const lab = await createLab(t);
  const network = await twoNetworks(lab);
  await lab.plugin('blue', { del: fail('no'), gc: fail('no'), status: fail('not now', 50) });
  assert.equal((await network.status()).ready, false);
  assert.deepEqual(await callsOf(lab, network, known('mine')), [
    ...['DEL blue eth0', 'DEL red eth1', 'GC blue ', 'GC red '],
  ]);
  assert.ok((await validOf(lab, 'blue')).includes('leaked eth0'));
  assert.ok((await lab.cached()).some((name) => name.startsWith('blue-leaked')));
});

test('a plugin that hangs in GC is killed, and an ADD waits until then', async (t) => {
  const lab = await createLab(t);
  await Promise.all([
    // The ADD below begins only when the GC runs.
    lab.plugin('blue', { gc: `touch ${join(lab.dir, 'gc')}; sleep 1000` }),
    lab.conf('10.conflist', list('blue')),
  ]);
  const network = lab.network({ gcTimeoutMs: 1000 });
  const collecting = network.collectGarbage(known(), never());
  await exists(join(lab.dir, 'gc'));
  const order: string[] = [];
  await Promise.all([
    collecting.then(() => order.push('collected')),
    network.attach(pod(), never()).then(() => order.push('added')),
  ]);
  assert.deepEqual(
    [order, await lab.calls()],
    [
      ['collected', 'added'],
      ['GC blue ', 'ADD blue eth0'],
    ],
  );
});

test('an ADD does not wait for the DEL of a stale attachment', async (t) => {
  const lab = await createLab(t);
  const network = await twoNetworks(lab, {}, { delTimeoutMs: 5000 });
  const [begun, end] = [join(lab.dir, 'begun'), join(lab.dir, 'end')];
  await lab.plugin('blue', { del: `touch ${begun}; while [ ! -e ${end} ]; do sleep 0.05; done` });
  const collecting = network.collectGarbage(known('mine', 'pod1'), never());
  await exists(begun);
  await network.attach(pod(), never());
  await writeFile(end, '');
  assert.equal(await collecting, true);
  assert.deepEqual(
    (await lab.calls()).filter((call) => call.endsWith(' blue eth0') || call.startsWith('GC')),
    [...['ADD blue eth0', 'ADD blue eth0', 'DEL blue eth0', 'ADD blue eth0'], ...['GC blue ', 'GC red ']],
  );
});

test('the DEL of a stale attachment has a limit of its own', async (t) => {
  const lab = await createLab(t);
  const network = await twoNetworks(lab, {}, { staleDelTimeoutMs: 100 });
  await lab.plugin('blue', { del: 'sleep 1000' });
  assert.deepEqual(await callsOf(lab, network, known('mine')), [
    ...['DEL blue eth0', 'DEL red eth1', 'GC blue ', 'GC red '],
  ]);
  assert.ok((await validOf(lab, 'blue')).includes('leaked eth0'));
});

test('a namespace that cannot be looked at within a limit counts as open', async (t) => {
  const lab = await createLab(t);
  const looks: string[] = [];
  const hang = (path: string): Promise<boolean> => {
    looks.push(path);
    return new Promise<boolean>(() => undefined);
  };
  const network = await twoNetworks(lab, {}, { netnsIsOpen: createNetnsCheck(hang, 10) });
  assert.deepEqual(await callsOf(lab, network, known('mine')), []);
  assert.deepEqual(looks, [GONE], 'a look that hangs is the only one');
});

test('namespaces are looked at again when the look that hung has ended', async () => {
  const ends: ((isOpen: boolean) => void)[] = [];
  const isOpen = createNetnsCheck(() => new Promise((resolve) => void ends.push(resolve)), 10);
  assert.deepEqual([await isOpen('/a'), await isOpen('/b'), ends.length], [true, true, 1]);
  ends[0]?.(false);
  await new Promise(setImmediate);
  const again = isOpen('/b');
  ends[1]?.(false);
  assert.equal(await again, false);
  assert.equal(await createNetnsCheck(() => Promise.reject(new Error('EIO')))('/a'), true);
});

test('a collection waits for the ADDs that run, and gives up when they do not end', async () => {
  const gate = createAddGate();
  const order: string[] = [];
  let end = (): void => undefined;
  const adding = gate.add(never(), async () => {
    await new Promise<void>((resolve) => (end = resolve));
    order.push('add');
  });
  assert.equal(await gate.collect(1, () => Promise.resolve()), false);
  const collecting = gate.collect(10_000, async () => void order.push('collect'));
  end();
  assert.equal(await collecting, true);
  await adding;
  assert.deepEqual(order, ['add', 'collect']);
});

async function exists(path: string): Promise<void> {
  while (!(await readFile(path).catch(() => undefined))) await new Promise((resolve) => setTimeout(resolve, 10));
}
