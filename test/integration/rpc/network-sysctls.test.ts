import assert from 'node:assert/strict';
import { chmod, mkdir, mkdtemp, readdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { test } from 'node:test';
import type { CridOptions } from '../../harness/crid.js';
import { runPod } from '../../harness/pod.js';
import type { TestStack } from '../../harness/test-stack.js';
import { startSuite } from './suite.js';

/**
 * A pod's sysctls with a network that takes longer than the creation of the pause container and sets sysctls itself.
 */

const suite = startSuite({ crid: slowNetwork });

const valueInPod = async (sysctl: string, value: string, read: string): Promise<string> => {
  const pod = await runPod(suite.crid, suite.stack, { linux: { sysctls: { [sysctl]: value } } });
  const { stdout } = await pod.exec(await pod.run(), ['cat', `/proc/sys/${read}`]);
  await pod.remove();
  return stdout.trim();
};

test('a sysctl of an interface finds the interface that a slow plugin creates', async () => {
  assert.deepEqual(
    [
      await valueInPod('net.ipv4.conf.eth0.arp_ignore', '1', 'net/ipv4/conf/eth0/arp_ignore'),
      await valueInPod('net/ipv4/conf/eth0/arp_ignore', '2', 'net/ipv4/conf/eth0/arp_ignore'),
    ],
    ['1', '2'],
  );
});

test('if the network and the pod set the same sysctl, the value of the pod wins', async () => {
  assert.equal(await valueInPod('net.core.somaxconn', '1000', 'net/core/somaxconn'), '1000');
});

test('a value of the network stays if the pod sets another sysctl', async () => {
  assert.equal(await valueInPod('kernel.msgmax', '9000', 'net/core/somaxconn'), '500');
});

/**
 * The stack's network with an additional first plugin that takes half a second and a last one that sets
 * net.core.somaxconn to 500.
 */
async function slowNetwork(stack: TestStack): Promise<CridOptions> {
  const dir = await mkdtemp(join(stack.dir, 'slow-'));
  const [bin, confDir] = [join(dir, 'bin'), join(dir, 'net.d')];
  for (const folder of [bin, confDir]) await mkdir(folder);
  const [file = ''] = await readdir(stack.cniConfDir);
  const conflist = JSON.parse(await readFile(join(stack.cniConfDir, file), 'utf8')) as { plugins: { type: string }[] };
  const [first, ...others] = conflist.plugins;
  assert.ok(first);
  const plugins = [{ ...first, type: 'slow-plugin' }, ...others, { type: 'tuning-plugin' }];
  await writeFile(join(confDir, '10-slow.conflist'), JSON.stringify({ ...conflist, plugins }));
  const slow = `[ "$CNI_COMMAND" = ADD ] && sleep 0.5\nexec '${join(stack.cniBinDir, first.type)}'\n`;
  for (const [name, script] of [
    ['slow-plugin', slow],
    ['tuning-plugin', TUNING],
  ] as const) {
    await writeFile(join(bin, name), `#!/bin/sh\n${script}`);
    await chmod(join(bin, name), 0o755);
  }
  return { config: { runtime: { cni: { bin_dirs: [bin, stack.cniBinDir], conf_dir: confDir } } } };
}

const TUNING = `[ "$CNI_COMMAND" = ADD ] || exit 0
input=$(cat)
nsenter --net="$CNI_NETNS" sh -c 'echo 500 >/proc/sys/net/core/somaxconn' || exit 1
printf %s "$input" | '${process.execPath}' -p 'JSON.stringify(JSON.parse(require("fs").readFileSync(0, "utf8")).prevResult)'
`;
