import assert from 'node:assert/strict';
import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { chmod, cp, mkdir, mkdtemp, symlink, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { run } from '../../../tools/stack/exec.js';
import { projectRoot } from '../../../tools/stack/project.js';
import { until } from '../../../tools/stack/wait.js';
import { criClient, type CriClient } from '../../harness/cri-client.js';
import { startCrid, type Crid } from '../../harness/crid.js';
import { pullImage, removeAllPods, runPod } from '../../harness/pod.js';
import { startStack, type Stack } from '../../harness/test-stack.js';
import { assertFails } from '../rpc/suite.js';

/** The example of a plugin in TypeScript, built against the packed npm package, on crid and on containerd's CRI. */

const LIMIT_MS = 60_000;
const ANNOTATION = 'open-files.nri.example/limit';
let stack: Stack;
let program: string;
const plugins = new Set<ChildProcess>();

before(async () => {
  stack = await startStack({ cri: true });
  program = await buildExample();
});
after(async () => {
  for (const plugin of plugins) plugin.kill('SIGKILL');
  await stack.dispose();
});

/** Returns the path of the example, compiled as an author of plugins does. */
async function buildExample(): Promise<string> {
  const folder = await mkdtemp(join(stack.dir, 'example-'));
  await cp(join(projectRoot, 'examples', 'nri-open-files'), folder, { recursive: true });
  const modules = join(folder, 'node_modules');
  await mkdir(join(modules, 'crid'), { recursive: true });
  await run('npm', ['pack', '--ignore-scripts', '--silent', '--pack-destination', folder], {
    cwd: projectRoot,
    timeoutMs: LIMIT_MS,
  });
  await run('sh', ['-c', 'tar -xzf crid-*.tgz -C node_modules/crid --strip-components 1'], {
    cwd: folder,
    timeoutMs: LIMIT_MS,
  });
  for (const name of ['@types', 'undici-types'])
    await symlink(join(projectRoot, 'node_modules', name), join(modules, name));
  const tsc = join(projectRoot, 'node_modules', '.bin', 'tsc');
  const options = ['--strict', '--exactOptionalPropertyTypes', '--module', 'nodenext', '--target', 'es2023'];
  await run(tsc, [...options, '--types', 'node', 'plugin.ts'], { cwd: folder, timeoutMs: LIMIT_MS });
  const path = join(folder, 'plugin.js');
  await chmod(path, 0o755);
  return path;
}

interface Started {
  readonly child: ChildProcess;
  /** The text that the plugin has printed. */
  text(): string;
  says(expected: string): Promise<unknown>;
}

function startPlugin(socket: string): Started {
  const child = spawn(process.execPath, [program, '30', 'open-files', socket], { stdio: ['ignore', 'ignore', 'pipe'] });
  plugins.add(child);
  let printed = '';
  child.stderr.setEncoding('utf8').on('data', (text: string) => (printed += text));
  const says = (expected: string): Promise<unknown> =>
    until(`the plugin prints "${expected}"`, LIMIT_MS, () => printed.includes(expected) || undefined);
  return { child, text: () => printed, says };
}

async function limitInContainer(cri: CriClient, annotations = {}): Promise<string> {
  const pod = await runPod(cri, stack, { annotations });
  const { stdout } = await pod.exec(await pod.run(), ['sh', '-c', 'ulimit -n; echo $OPEN_FILES']);
  await pod.remove();
  return stdout.trim();
}

async function ended({ child }: Started): Promise<unknown> {
  if (child.exitCode === null && child.signalCode === null) await once(child, 'exit');
  return child.exitCode ?? child.signalCode;
}

const cridWith = (nri: object): Promise<Crid> =>
  startCrid(stack, {
    config: { crid: { namespace: 'nri-library' }, nri: { enabled: true, ...nri } },
  });

test("a plugin in TypeScript that connects to containerd's own CRI adjusts the container", async () => {
  const cri = criClient(stack.containerd.socket);
  await pullImage(cri);
  const plugin = startPlugin(stack.containerd.nriSocket);
  await plugin.says('there are 0 pods');
  assert.match(plugin.text(), /configured by containerd /);
  assert.equal(await limitInContainer(cri, { [ANNOTATION]: '321' }), '321\n321');
  await plugin.says('is gone');
  plugin.child.kill('SIGTERM');
  assert.equal(await ended(plugin), 0);
  await removeAllPods(cri);
  cri.close();
});

test('a plugin in TypeScript that connects to crid adjusts the container, and ends with exit code 0', async () => {
  const socket = join(stack.dir, 'nri-of-crid', 'nri.sock');
  const crid = await cridWith({ socket_path: socket, plugin_path: join(stack.dir, 'none') });
  await pullImage(crid);
  const plugin = startPlugin(socket);
  await plugin.says('there are 0 pods');
  assert.equal(await limitInContainer(crid, { [ANNOTATION]: '432' }), '432\n432');

  await plugin.says('is gone');
  const failing = limitInContainer(crid, { [ANNOTATION]: 'many' });
  await assertFails(failing, 'UNKNOWN', '30-open-files', `annotation "${ANNOTATION}": expected a number`);

  plugin.child.kill('SIGTERM');
  assert.equal(await ended(plugin), 0);
  const second = startPlugin(socket);
  await second.says('there are 1 pods');
  await removeAllPods(crid);
  await crid.stop();
  assert.equal(await ended(second), 0);
  assert.match(second.text(), /the plugin has ended/);
  crid.close();
});

test('a plugin in TypeScript whose runtime is killed ends with an error', async () => {
  const socket = join(stack.dir, 'nri-of-killed', 'nri.sock');
  const crid = await cridWith({ socket_path: socket, plugin_path: join(stack.dir, 'none') });
  const plugin = startPlugin(socket);
  await plugin.says('there are 0 pods');
  await crid.kill9();
  assert.equal(await ended(plugin), 1);
  // The kernel resets a connection with bytes that the killed process has not read.
  assert.match(plugin.text(), /the peer closed the connection|connection failed: read ECONNRESET/);
  crid.close();
});

test('a plugin in TypeScript that crid launches gets its configuration and adjusts the container', async () => {
  const [folder, configs] = [join(stack.dir, 'launched-plugins'), join(stack.dir, 'launched-conf.d')];
  await mkdir(folder);
  await mkdir(configs);
  await symlink(program, join(folder, '30-open-files'));
  await writeFile(join(configs, 'open-files.conf'), '543\n');
  const crid = await cridWith({ plugin_path: folder, plugin_config_path: configs, disable_connections: true });
  await pullImage(crid);
  assert.equal(await limitInContainer(crid), '543\n543');
  await crid.stop();
  crid.close();
});

test('a plugin in TypeScript that containerd itself launches gets its configuration and adjusts the container', async () => {
  const [folder, configs] = ['plugins', 'conf.d'].map((name) => join(stack.dir, 'nri', name)) as [string, string];
  await mkdir(folder, { recursive: true });
  await mkdir(configs, { recursive: true });
  await symlink(program, join(folder, '30-open-files'));
  await writeFile(join(configs, 'open-files.conf'), '654\n');
  await stack.containerd.stop();
  await stack.containerd.start();
  const cri = criClient(stack.containerd.socket);
  await until('the CRI plugin serves', LIMIT_MS, () => cri.runtime.version({}));
  await pullImage(cri);
  assert.equal(await limitInContainer(cri), '654\n654');
  assert.equal(await limitInContainer(cri, { [ANNOTATION]: '321' }), '321\n321');
  await removeAllPods(cri);
  cri.close();
});
