import assert from 'node:assert/strict';
import { existsSync } from 'node:fs';
import { mkdir, readdir, readFile, readlink, symlink, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { test } from 'node:test';
import { ensureGoProgram } from '../../harness/go-program.js';
import { runPod } from '../../harness/pod.js';
import { startSuite } from '../rpc/suite.js';
import { NRI } from './upstream-program.js';

/** A plugin over upstream's stub, which crid launches with its configuration. */

let program = '';
let socket = '';
const suite = startSuite({
  async crid(stack) {
    program = await ensureGoProgram('nri-adjuster', { 'github.com/containerd/nri': NRI });
    const [plugins, configs] = [join(stack.dir, 'launched', 'plugins'), join(stack.dir, 'launched', 'conf.d')];
    socket = join(stack.dir, 'launched', 'nri.sock');
    await mkdir(plugins, { recursive: true });
    await mkdir(configs);
    await symlink(program, join(plugins, '20-launched'));
    await writeFile(join(plugins, 'badly-named'), '', { mode: 0o755 });
    await writeFile(join(configs, 'launched.conf'), JSON.stringify({ env: [{ key: 'NRI', value: 'launched' }] }));
    const paths = { socket_path: socket, plugin_path: plugins, plugin_config_path: configs };
    return { config: { nri: { enabled: true, disable_connections: true, ...paths } } };
  },
});

test(`a launched plugin over NRI ${NRI} is ready with its configuration when crid serves`, async () => {
  const pod = await runPod(suite.crid, suite.stack);
  const { stdout } = await pod.exec(await pod.run(), ['sh', '-c', 'echo $NRI']);
  assert.equal(stdout.trim(), 'launched');
});

test('a file with a bad name is named in the log, and no socket is made when connections are off', async () => {
  assert.match(await suite.crid.log(), /badly-named","err":"the name of a plugin is NN-NAME/);
  assert.equal(existsSync(socket), false);
});

test('a restart of crid ends the launched plugin and launches another', async () => {
  const before = await launchedBy(suite.crid.pid());
  await suite.crid.restart();
  const after = await launchedBy(suite.crid.pid());
  assert.deepEqual([before.length, after.length], [1, 1]);
  assert.equal(existsSync(`/proc/${before[0]}`), false);
  const pod = await runPod(suite.crid, suite.stack);
  const { stdout } = await pod.exec(await pod.run(), ['sh', '-c', 'echo $NRI']);
  assert.equal(stdout.trim(), 'launched');
});

/** Returns the pids of the processes that run the plugin's program as children of `parent`. */
async function launchedBy(parent: number): Promise<string[]> {
  const found: string[] = [];
  for (const task of await readdir(`/proc/${parent}/task`)) {
    const children = await readFile(`/proc/${parent}/task/${task}/children`, 'utf8');
    for (const pid of children.split(' ').filter(Boolean))
      if ((await readlink(`/proc/${pid}/exe`).catch(() => '')) === program) found.push(pid);
  }
  return found;
}
