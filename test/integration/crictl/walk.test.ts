import assert from 'node:assert/strict';
import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, readFile, stat, writeFile } from 'node:fs/promises';
import { connect } from 'node:net';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { killOnExit } from '../../../tools/stack/disposers.js';
import { run } from '../../../tools/stack/exec.js';
import { ensureGoTool } from '../../../tools/stack/gotools.js';
import { freePort } from '../../../tools/stack/ports.js';
import { until } from '../../../tools/stack/wait.js';
import { BUSYBOX } from '../../harness/pod.js';
import { startSuite } from '../rpc/suite.js';

/** Each test is a part of one sequence: the pod and containers are created in the first and removed in the last. */

const suite = startSuite();
const TRANSPORTS = ['spdy', 'websocket'];
const OTHER_IMAGE = 'registry.k8s.io/e2e-test-images/busybox:1.29-2';
const WAIT_LIMIT_MS = 60_000;
const LABELS = { 'io.kubernetes.pod.name': 'walk', 'io.kubernetes.pod.namespace': 'default' };
/** Commands of crictl that use no runtime, and one that only Windows or a reloaded runtime needs. */
const NOT_WALKED = ['completion', 'config', 'help', 'update-runtime-config'];
const SCRIPT =
  'mkdir -p /www; echo page > /www/page; httpd -p 8080 -h /www; while read -r line; do echo "got $line"; done';

const walked = new Set<string>();
let [dir, pod, container] = ['', '', ''];
const children: ChildProcess[] = [];

/**
 * Writes a configuration for crictl, which otherwise reads the host's. Cached, because hooks of one file do not wait
 * for each other.
 */
const prepared = (): Promise<readonly string[]> => (preparing ??= prepare());
let preparing: Promise<readonly string[]> | undefined;
async function prepare(): Promise<readonly string[]> {
  const program = await ensureGoTool(suite.stack.layout, 'crictl');
  dir = await mkdtemp(join(suite.stack.dir, 'crictl-'));
  const socket = `unix://${suite.crid.socket}`;
  const file = join(dir, 'crictl.yaml');
  await writeFile(file, `runtime-endpoint: ${socket}\nimage-endpoint: ${socket}\ntimeout: 60\n`);
  return [program, '--config', file];
}
after(() => children.forEach((child) => child.kill('SIGKILL')));

async function crictl(command: string, ...args: string[]): Promise<string> {
  walked.add(command);
  const [program = '', ...options] = await prepared();
  return run(program, [...options, command, ...args]);
}

const json = async <T>(command: string, ...args: string[]): Promise<T> =>
  JSON.parse(await crictl(command, '--output', 'json', ...args)) as T;

/** Runs a command in the background. `text` returns its output so far. */
async function going(command: string, ...args: string[]): Promise<{ child: ChildProcess; text: () => string }> {
  walked.add(command);
  const [program = '', ...options] = await prepared();
  const child = spawn(program, [...options, command, ...args]);
  void once(child, 'exit').then(killOnExit(child.pid ?? 0));
  children.push(child);
  let text = '';
  for (const stream of [child.stdout, child.stderr]) stream.on('data', (chunk: Buffer) => (text += chunk.toString()));
  return { child, text: () => text };
}

const says = (what: string, text: () => string, pattern: RegExp): Promise<string> =>
  until(what, WAIT_LIMIT_MS, () => {
    if (!pattern.test(text())) throw new Error(text());
    return text();
  });

async function config(name: string, content: object): Promise<string> {
  const file = join(dir, `${name}.json`);
  await writeFile(file, JSON.stringify(content));
  return file;
}

const podFile = (name: string): Promise<string> =>
  config(name, {
    metadata: { name, namespace: 'default', uid: name, attempt: 0 },
    labels: { walk: 'yes' },
    log_directory: dir,
    linux: {},
  });
const containerFile = (name: string, command: string[], more: object = {}): Promise<string> =>
  config(`container-${name}`, {
    metadata: { name, attempt: 0 },
    image: { image: BUSYBOX },
    command,
    labels: LABELS,
    log_path: `${name}.log`,
    linux: {},
    ...more,
  });

test('version, info, runtime-config', async () => {
  assert.match(await crictl('version'), /RuntimeName: +crid\n.*RuntimeApiVersion: +v1\n/s);
  const info = JSON.parse(await crictl('info')) as { status: { conditions: { type: string; status: boolean }[] } };
  const ready = info.status.conditions.filter(({ status }) => status).map(({ type }) => type);
  for (const type of ['NetworkReady', 'RuntimeReady']) assert.ok(ready.includes(type), ready.join(' '));
  assert.match(await crictl('runtime-config'), /cgroup driver: +(CGROUPFS|SYSTEMD)/i);
});

test('pull, images, inspecti, imagefsinfo', async () => {
  assert.match(await crictl('pull', OTHER_IMAGE), /Image is up to date for (\S+@)?sha256:[0-9a-f]{64}/);
  const { images } = await json<{ images: { id: string; repoTags: string[] }[] }>('images');
  const id = images.find(({ repoTags }) => repoTags.includes(OTHER_IMAGE))?.id ?? '';
  const { status } = JSON.parse(await crictl('inspecti', OTHER_IMAGE)) as { status: { id: string; size: string } };
  assert.equal(status.id, id);
  assert.ok(Number(status.size) > 100_000);
  const { status: filesystems } = JSON.parse(await crictl('imagefsinfo')) as {
    status: { imageFilesystems: { usedBytes: { value: string } }[] };
  };
  assert.ok(Number(filesystems.imageFilesystems[0]?.usedBytes.value) > 100_000);
});

test('runp, create, start, pods, ps, inspectp, inspect', async () => {
  const sandbox = await podFile('walk');
  pod = (await crictl('runp', sandbox)).trim();
  const file = await containerFile('main', ['sh', '-c', SCRIPT], { stdin: true });
  container = (await crictl('create', pod, file, sandbox)).trim();
  assert.match(await crictl('ps', '--all'), new RegExp(`${container.slice(0, 13)} .* Created +main `));
  assert.equal(await crictl('start', container), `${container}\n`);
  assert.equal(await crictl('ps', '--quiet', '--state', 'Running', '--pod', pod), `${container}\n`);
  assert.match(await crictl('ps'), /Running +main +0 +\S+ +walk +default\n/);
  assert.match(
    await crictl('pods', '--label', 'walk=yes'),
    new RegExp(`${pod.slice(0, 13)} .* Ready +walk +default +0 `),
  );
  const inspectedPod = JSON.parse(await crictl('inspectp', pod)) as {
    status: { state: string; network: { ip: string } };
  };
  assert.equal(inspectedPod.status.state, 'SANDBOX_READY');
  assert.match(inspectedPod.status.network.ip, /^10\./);
  const inspected = JSON.parse(await crictl('inspect', container)) as { status: object; info: { pid: number } };
  assert.ok(inspected.info.pid > 1);
  assert.equal(
    await crictl('inspect', '--output', 'go-template', '--template', '{{.status.state}}', container),
    'CONTAINER_RUNNING\n',
  );
});

test('exec: -s, over both transports, with its exit code', async () => {
  const command = [container, 'sh', '-c', 'echo out; echo err >&2'];
  assert.match(await crictl('exec', '--sync', ...command), /^out\n/);
  for (const transport of TRANSPORTS) {
    assert.equal(await crictl('exec', '--transport', transport, ...command), 'out\n');
    await assert.rejects(
      crictl('exec', '--transport', transport, container, 'sh', '-c', 'exit 7'),
      /exit code 7|exit status 7/,
    );
  }
});

test('attach over both transports, logs', async () => {
  for (const transport of TRANSPORTS) {
    const { child, text } = await going('attach', '--stdin', '--transport', transport, container);
    const asking = setInterval(() => child.stdin?.write(`${transport}\n`), 500);
    await says('attach answers', text, new RegExp(`got ${transport}\n`)).finally(() => clearInterval(asking));
    child.kill('SIGKILL');
  }
  assert.match(await crictl('logs', container), /^(got spdy\n)+(got websocket\n)+$/);
  assert.match(await crictl('logs', '--tail', '1', '--timestamps', container), /^\d{4}-\S+ got websocket\n$/);
  assert.match(await readFile(join(dir, 'main.log'), 'utf8'), /^\S+ stdout F got spdy\n/);
});

test('port-forward over both transports', async () => {
  for (const transport of TRANSPORTS) {
    const port = await freePort();
    const { child, text } = await going('port-forward', '--transport', transport, pod, `${port}:8080`);
    await says('the port is forwarded', text, /Forwarding from 127\.0\.0\.1:/);
    const socket = connect(port, '127.0.0.1');
    socket.write('GET /page HTTP/1.0\r\n\r\n');
    let answer = '';
    for await (const chunk of socket) answer += String(chunk);
    assert.match(answer, /^HTTP\/1\.[01] 200 OK\r\n[^]*\r\n\r\npage\n$/);
    child.kill('SIGKILL');
  }
});

// crictl's JSON has one or two spaces after a colon; Go's protojson changes that from build to build.
test('stats, statsp, metricsp, metricdescs', async () => {
  type Stats = { stats: { attributes: { id: string }; memory?: { workingSetBytes: { value: string } } }[] };
  const stats = (await json<Stats>('stats', container)).stats.find(({ attributes }) => attributes.id === container);
  assert.ok(Number(stats?.memory?.workingSetBytes.value) > 0);
  const pods = await json<Stats>('statsp', pod);
  assert.deepEqual(
    pods.stats.map(({ attributes }) => attributes.id),
    [pod],
  );
  const described = (await crictl('metricdescs')).match(/"name": +"container_\w+"/g) ?? [];
  const metrics = await crictl('metricsp');
  assert.ok(described.length > 20, `${described.length} metrics are described`);
  assert.match(metrics, new RegExp(`"podSandboxId": +"${pod}"`));
  assert.match(metrics, /"name": +"container_memory_working_set_bytes"/);
});

test('update', async () => {
  assert.equal(await crictl('update', '--memory', String(64 * 1024 * 1024), container), `${container}\n`);
  assert.match(await crictl('inspect', container), /"memoryLimitInBytes": +"67108864"/);
});

test('checkpoint: an archive, or the reason for its absence', async () => {
  const archive = join(dir, 'checkpoint.tar');
  try {
    await crictl('checkpoint', `--export=${archive}`, container);
    assert.ok((await stat(archive)).size > 10_000);
  } catch (error) {
    assert.match(String(error), /CheckpointContainer|cannot be checkpointed/);
    assert.match(String(error), new RegExp(`FailedPrecondition|Unimplemented.*${container}?`));
  }
});

test('run, events, stop, rm', async () => {
  const { child, text } = await going('events');
  let pings = 0;
  await until('the stream of events is open', WAIT_LIMIT_MS, async () => {
    const file = await containerFile(`ping-${(pings += 1)}`, ['true']);
    await crictl('rm', (await crictl('create', pod, file, await podFile('walk'))).trim());
    return text() === '' ? undefined : true;
  });
  const sandbox = await podFile('second');
  const second = (await crictl('run', await containerFile('second', ['sleep', '1000']), sandbox)).trim();
  const event = (kind: string): RegExp =>
    new RegExp(`"containerId": +"${second}",\\s+"containerEventType": +"CONTAINER_${kind}_EVENT"`);
  await says('the start', text, event('STARTED'));
  assert.equal(await crictl('stop', '--timeout', '0', second), `${second}\n`);
  await says('the stop', text, event('STOPPED'));
  const { status } = JSON.parse(await crictl('inspect', second)) as { status: { state: string; exitCode: number } };
  assert.deepEqual([status.state, status.exitCode], ['CONTAINER_EXITED', 137]);
  assert.equal(await crictl('rm', second), `${second}\n`);
  await says('the removal', text, event('DELETED'));
  await assert.rejects(crictl('inspect', second), /not found|NotFound/);
  child.kill('SIGKILL');
});

test('stopp, rmp, rmi', async () => {
  for (const id of (await crictl('pods', '--quiet')).trim().split('\n')) {
    assert.equal(await crictl('stopp', id), `Stopped sandbox ${id}\n`);
    assert.equal(await crictl('rmp', id), `Removed sandbox ${id}\n`);
  }
  assert.equal(await crictl('pods', '--quiet'), '');
  assert.equal(await crictl('ps', '--all', '--quiet'), '');
  assert.match(await crictl('rmi', OTHER_IMAGE), /Deleted: /);
  await assert.rejects(crictl('inspecti', OTHER_IMAGE), /no such image|not found/i);
});

test('every command of crictl has been run', async () => {
  const [program = ''] = await prepared();
  const help = await run(program, ['--help']);
  const commands = /\nCOMMANDS:\n(.*?)\n\n/s.exec(help)?.[1]?.matchAll(/^ {3}([a-z-]+)/gm) ?? [];
  const names = [...commands].map(([, name = '']) => name).sort();
  assert.deepEqual(names, [...walked, ...NOT_WALKED].sort());
});
