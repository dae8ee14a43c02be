import assert from 'node:assert/strict';
import { mkdir, mkdtemp, readdir, readFile, rm, utimes, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { removeNetns } from '../../../src/host/namespace/netns.js';
import { pinNamespaces } from '../../../src/host/namespace/pin-namespaces.js';
import { createNetwork } from '../../../src/network/create-network.js';
import { until } from '../../../tools/stack/wait.js';
import { startCrid, type Crid } from '../../harness/crid.js';
import { pullImage, removeAllPods, runPod } from '../../harness/pod.js';
import { limitMs } from '../../harness/slowness.js';
import { testStack, type TestStack } from '../../harness/test-stack.js';
import { log } from '../containerd/lab.js';

let stack: TestStack;
let crid: Crid;
let dir: string;
let confDir: string;

/** The stack's own network, with the version that has GC and with addresses of its own. */
before(async () => {
  stack = await testStack();
  dir = await mkdtemp(join(stack.dir, 'garbage-'));
  confDir = join(dir, 'net.d');
  await mkdir(confDir);
  const [file = ''] = await readdir(stack.cniConfDir);
  const text = (await readFile(join(stack.cniConfDir, file), 'utf8')).replaceAll(
    stack.bridge.dataDir,
    join(dir, 'ipam'),
  );
  const conf = { ...(JSON.parse(text) as object), cniVersion: '1.1.0' };
  await writeFile(join(confDir, '10.conflist'), JSON.stringify(conf));
  crid = await startCrid(stack, { config: { runtime: { cni: { conf_dir: confDir } } } });
  await pullImage(crid);
});
after(async () => {
  await removeAllPods(crid);
  await crid.stop();
  crid.close();
  await rm(dir, { recursive: true });
});

const addresses = async (): Promise<string[]> =>
  (await readdir(join(dir, 'ipam', stack.bridge.name))).filter((name) => /^[\d.]+$/.test(name)).sort();

/** Attaches a container and removes its namespace without a DEL, as if an hour ago; returns its address. */
async function leak(): Promise<string> {
  const netnsPath = `/var/run/netns/crid-garbage-${process.pid}`;
  const network = createNetwork({
    ...{ binDirs: [stack.cniBinDir], confDir, maxConfNum: 1, setupSerially: false, useInternalLoopback: false },
    ...{ ipPref: '', log },
  });
  await pinNamespaces({ paths: { net: netnsPath } });
  const container = { id: `crid-garbage-${process.pid}`, name: 'leaked', namespace: 'test', uid: 'leaked' };
  const more = { annotations: {}, netnsPath, cgroupParent: '', portMappings: [] };
  const { ips } = await network.attach({ ...container, ...more }, new AbortController().signal);
  network.close();
  await removeNetns(netnsPath);
  const anHourAgo = Date.now() / 1000 - 3600;
  await utimes(`/var/lib/cni/results/${stack.bridge.name}-${container.id}-eth0`, anHourAgo, anHourAgo);
  return ips[0] ?? '';
}

test('a start releases the address of a container that is gone; a running pod keeps its own', async () => {
  const pod = await runPod(crid, stack);
  const [live] = await addresses();
  await crid.stop();
  const leaked = await leak();
  assert.deepEqual(await addresses(), [live, leaked].sort());
  await crid.start();
  await until(
    'the address is released',
    limitMs(30_000),
    async () => !(await addresses()).includes(leaked) || undefined,
  );
  assert.deepEqual(await addresses(), [live]);
  const { status } = await crid.runtime.podSandboxStatus({ pod_sandbox_id: pod.id });
  assert.equal(status?.network?.ip, live);
  await pod.remove();
  assert.deepEqual(await addresses(), []);
});
