import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { cp, mkdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { test } from 'node:test';
import { parse, stringify } from 'smol-toml';
import { projectRoot } from '../../../tools/stack/project.js';
import { until } from '../../../tools/stack/wait.js';
import { merged } from '../../../src/config/tree.js';
import { BUSYBOX, runPod } from '../../harness/pod.js';
import { openCommandClient } from '../../harness/streaming/command-client.js';
import { startSuite } from './suite.js';

/** A reload over a real containerd: what it takes, what it refuses, and what goes on meanwhile. */

const LIMIT_MS = 20_000;
const program = process.env['CRID_TEST_PROGRAM'] ?? join(projectRoot, 'bin', 'crid');
const suite = startSuite({ crid: () => ({ config: { crid: { traced_calls: 50 } } }) });

const file = (): string => join(suite.crid.dir, 'crid.toml');

/** Writes options into crid's file, over those that it has. */
async function write(options: object): Promise<void> {
  await writeFile(file(), stringify(merged(parse(await readFile(file(), 'utf8')), options)));
}

type Line = Record<string, unknown>;

/** Sends SIGHUP. Returns the lines of the log until the end of the reload, which has the message `msg`. */
async function reload(msg: string): Promise<Line[]> {
  const before = (await suite.crid.logLines()).length;
  process.kill(suite.crid.pid(), 'SIGHUP');
  return until(`"${msg}" in the log`, LIMIT_MS, async () => {
    const lines = (await suite.crid.logLines()).slice(before);
    return lines.some((line) => line['msg'] === msg) ? lines : undefined;
  });
}

const TAKEN = 'configuration reloaded';
const REFUSED = 'configuration not reloaded, nothing has changed';

/** Runs `crid config …` with the files of this crid. */
function config(...args: string[]): { code: number | null; stdout: string; stderr: string } {
  const files = ['--containerd-config', suite.stack.containerd.config, '--config', file()];
  const { status, stdout, stderr } = spawnSync(program, ['config', ...args, ...files], { encoding: 'utf8' });
  return { code: status, stdout, stderr };
}

const diff = (...args: string[]) => config('diff', '--socket', suite.crid.socket, ...args);

/** Returns the options that differ from the running crid. The harness gives crid its socket by a flag. */
const differing = (): string[] =>
  (JSON.parse(diff('--json').stdout) as { changes: { option: string }[] }).changes
    .map(({ option }) => option)
    .filter((option) => option !== 'crid.listen');

const handlers = async (): Promise<string[]> =>
  (await suite.crid.runtime.status({})).runtime_handlers.map(({ name }) => name);

test('a new handler with a network of its own appears in Status and runs a pod, a call and a stream go on', async () => {
  const { runtime } = suite.crid;
  const before = await handlers();
  const old = await runPod(suite.crid, suite.stack);
  const container = await old.run();
  const request = { container_id: container, cmd: ['cat'], stdin: true, stdout: true, stderr: true, tty: false };
  let echoed = '';
  const stream = await openCommandClient((await runtime.exec(request)).url, {
    transport: 'websocket',
    stdin: true,
    onOutput: (_, bytes) => void (echoed += bytes.toString()),
  });
  const call = old.exec(container, ['sh', '-c', 'sleep 3; echo done']);

  const { runtime: own } = JSON.parse((await runtime.status({ verbose: true })).info['cridConfig'] ?? '') as {
    runtime: { cni: { conf_dir: string }; containerd: { runtimes: { runc: object } } };
  };
  const confDir = join(suite.crid.dir, 'net.d');
  await mkdir(confDir);
  await cp(own.cni.conf_dir, confDir, { recursive: true });
  const handler = { ...own.containerd.runtimes.runc, cni_conf_dir: confDir, cni_max_conf_num: 1 };
  await write({ runtime: { containerd: { runtimes: { another: handler } } } });
  assert.deepEqual(await handlers(), before);
  assert.deepEqual(differing(), ['runtime.containerd.runtimes.another']);
  await reload(TAKEN);
  assert.deepEqual([await handlers(), differing()], [['', 'another', ...before.slice(1)], []]);

  const pod = await runPod(suite.crid, suite.stack, {}, 'another');
  assert.equal((await pod.exec(await pod.run(), ['echo', 'works'])).stdout, 'works\n');
  assert.equal((await call).stdout, 'done\n');
  await stream.write('still here');
  await until('the stream answers', LIMIT_MS, () => Promise.resolve(echoed === 'still here' ? true : undefined));
  stream.endInput();
  await stream.outcome;

  // The pod outlives its handler.
  const text = await readFile(file(), 'utf8');
  const without = parse(text) as { runtime: { containerd: { runtimes: { another?: object } } } };
  delete without.runtime.containerd.runtimes.another;
  await writeFile(file(), stringify(without));
  await reload(TAKEN);
  assert.deepEqual(await handlers(), before);
  await pod.remove();
  await old.remove();
});

test('a wrong file changes nothing, and both reload and check name the reason', async () => {
  const right = await readFile(file(), 'utf8');
  await write({ crid: { log_level: 'info' }, runtime: { cni: { max_conf_num: 'many' } } });
  const lines = await reload(REFUSED);
  const reason = /runtime\.cni\.max_conf_num: expected a whole number, received "many"/;
  assert.match(String(lines.find(({ msg }) => msg === REFUSED)?.['err']), reason);
  const check = config('check');
  assert.deepEqual([check.code, check.stdout], [1, '']);
  assert.match(check.stderr, reason);
  await writeFile(file(), right);
  assert.deepEqual([differing(), config('check').code], [[], 0]);
});

test('a changed socket is named as needing a restart, and stays', async () => {
  await write({ crid: { traced_calls: 51, metrics_address: '127.0.0.1:1' }, grpc: { address: '/run/other.sock' } });
  const named = (await reload(TAKEN)).filter(({ msg }) => msg === 'option has changed and needs a restart of crid');
  const address = suite.stack.containerd.socket;
  assert.deepEqual(
    named.map(({ option, old, new: loaded }) => [option, old, loaded]),
    [
      ['crid.metrics_address', '', '127.0.0.1:1'],
      ['crid.traced_calls', 50, 51],
      ['grpc.address', address, '/run/other.sock'],
    ],
  );
  const { code, stdout } = diff();
  assert.equal(code, 1);
  assert.match(stdout, /^a restart is needed for:$/m);
  assert.ok(stdout.includes(`  grpc.address: "${address}" -> "/run/other.sock"\n`), stdout);
  // It still works with the old one.
  assert.ok((await handlers()).includes('runc'));
  await write({ crid: { traced_calls: 50, metrics_address: '' }, grpc: { address } });
  await reload(TAKEN);
  assert.deepEqual(differing(), []);
});

test('an image becomes pinned', async () => {
  const pinned = async (): Promise<boolean | undefined> =>
    (
      await suite.crid.images.imageStatus({
        image: { image: BUSYBOX, annotations: {}, user_specified_image: '', runtime_handler: '' },
        verbose: false,
      })
    ).image?.pinned;
  assert.equal(await pinned(), false);
  await write({ images: { pinned_images: { busybox: BUSYBOX } } });
  await reload(TAKEN);
  await until('the image is pinned', LIMIT_MS, async () => ((await pinned()) ? true : undefined));
});
