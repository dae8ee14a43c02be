import assert from 'node:assert/strict';
import { existsSync } from 'node:fs';
import { lstat, mkdtemp, readdir, readFile, readlink, writeFile } from 'node:fs/promises';
import { dirname, join, relative } from 'node:path';
import { test, type TestContext } from 'node:test';
import { Client, credentials, status } from '@grpc/grpc-js';
import { createClientFactory, Metadata } from 'nice-grpc';
import { ContainersDefinition } from '../../../generated/containerd/services/containers/v1/containers.js';
import { ImagesDefinition } from '../../../generated/containerd/services/images/v1/images.js';
import { until } from '../../../tools/stack/wait.js';
import { startCrid } from '../../harness/crid.js';
import { openChannel } from '../../harness/cri-client.js';
import { NAMESPACE } from '../../harness/leaks.js';
import { runningOperations } from '../../harness/operations.js';
import { BUSYBOX, containerConfig, pullImage } from '../../harness/pod.js';
import { tinyImage } from '../images/tiny-image.js';
import { REPOSITORY, startRegistry } from '../images/tiny-registry.js';
import { basic, demanding, redirectingBlobs, startProxy, type Guard, type RegistryProxy } from './registry-proxy.js';
import { assertFails, failureOf, startSuite } from './suite.js';

/**
 * Published vulnerabilities of CRI servers that can be reproduced over the socket. Each test is named after its
 * advisory.
 */

const suite = startSuite({ withPod: true });
const MIB = 1024 * 1024;
const SETTLE_LIMIT_MS = 40_000;
const PASSWORD = 'correct-horse-battery';

const remove = (id: string): Promise<unknown> => suite.crid.runtime.removeContainer({ container_id: id });
const shell = (id: string, script: string, timeout = 30n) =>
  suite.crid.runtime.execSync({ container_id: id, cmd: ['sh', '-c', script], timeout });

async function proxyFor(t: TestContext, guard?: Guard): Promise<RegistryProxy> {
  const proxy = await startProxy(suite.stack.registry.url, guard);
  t.after(() => proxy.close());
  return proxy;
}

/** Returns the labels of a container's and an image's record, read from containerd. */
async function labelsOf(id: string, image: string): Promise<Record<string, string>[]> {
  const channel = openChannel(suite.stack.containerd.socket);
  const options = { '*': { metadata: Metadata({ 'containerd-namespace': NAMESPACE }) } };
  const clients = createClientFactory();
  try {
    const { container } = await clients.create(ContainersDefinition, channel, options).get({ id });
    const { image: record } = await clients.create(ImagesDefinition, channel, options).get({ name: image });
    return [container?.labels ?? {}, record?.labels ?? {}];
  } finally {
    channel.close();
  }
}

test('CVE-2026-53488: LABELs of an image are stored neither in the record of a container nor in that of the image', async () => {
  for (const name of ['reserved', 'odd', 'too-long']) {
    const image = `docker.io/crid-test/label-${name}:latest`;
    await pullImage(suite.crid, image);
    const id = await suite.pod.run({ image: { image }, labels: { mine: 'yes' } });
    const { status } = await suite.crid.runtime.containerStatus({ container_id: id });
    assert.deepEqual(
      [...(await labelsOf(id, image)), status?.labels],
      [
        { mine: 'yes', 'io.cri-containerd.kind': 'container' },
        { 'io.cri-containerd.image': 'managed' },
        { mine: 'yes' },
      ],
    );
    await remove(id);
  }
  assert.ok(!existsSync('/tmp/crid-owned'));
  const posing = containerConfig({ labels: { 'containerd.io/restart.loguri': 'binary:///bin/touch?/tmp/crid-owned' } });
  const request = { pod_sandbox_id: suite.pod.id, config: posing, sandbox_config: suite.pod.config };
  await assertFails(suite.crid.runtime.createContainer(request), 'INVALID_ARGUMENT', 'containerd.io/restart.loguri');
});

test("CVE-2024-25621: crid's directories are 0700, its FIFOs 0600, its socket 0660", async () => {
  const id = await suite.pod.run({ stdin: true });
  const running = shell(id, 'sleep 1');
  const { root, state } = suite.stack.containerd;
  const io = join(state, 'io.containerd.grpc.v1.cri', 'containers', id, 'io');
  await until('the exec has its FIFOs', SETTLE_LIMIT_MS, async () => (await readdir(io)).length > 1 || undefined);
  const found = [...(await entriesBelow(root)), ...(await entriesBelow(state))];
  await running;
  const wrong = found.filter(({ kind, mode }) => mode !== (kind === 'directory' ? '700' : '600'));
  assert.deepEqual(wrong, []);
  assert.deepEqual(
    ['directory', 'fifo'].map((kind) => found.filter((entry) => entry.kind === kind).length >= 4),
    [true, true],
    JSON.stringify(found),
  );
  assert.equal(((await lstat(suite.crid.socket)).mode & 0o7777).toString(8), '660');
  await remove(id);
});

interface Entry {
  readonly path: string;
  readonly kind: 'directory' | 'fifo';
  readonly mode: string;
}

/**
 * Returns directories and FIFOs of pods and containers below containerd's `root` or `state`, without those inside a
 * mount.
 */
async function entriesBelow(base: string, folder = join(base, 'io.containerd.grpc.v1.cri')): Promise<Entry[]> {
  const { mode, dev } = await lstat(folder);
  const found: Entry[] = [{ path: relative(base, folder), kind: 'directory', mode: (mode & 0o7777).toString(8) }];
  for (const entry of await readdir(folder, { withFileTypes: true })) {
    const path = join(folder, entry.name);
    const stat = await lstat(path);
    if (stat.isFIFO()) found.push({ path: relative(base, path), kind: 'fifo', mode: (stat.mode & 0o7777).toString(8) });
    if (stat.isDirectory() && stat.dev === dev) found.push(...(await entriesBelow(base, path)));
  }
  return found;
}

test('CVE-2020-15157: credentials are sent only to the registry that they are for', async (t) => {
  const [other, greedy] = [await proxyFor(t), await proxyFor(t, demanding('user', PASSWORD))];
  // Another host name, because an HTTP client may treat two ports of one host as the same.
  const guarded = (to: RegistryProxy): Guard => {
    const [demand, redirect] = [
      demanding('user', PASSWORD),
      redirectingBlobs(to.host.replace('127.0.0.1', 'localhost')),
    ];
    return (request, response) => demand(request, response) || redirect(request, response);
  };
  const auth = { username: 'user', password: PASSWORD };

  const removeImage = (image: string): Promise<unknown> => suite.crid.images.removeImage({ image: { image } });
  // Remove the image in case another test has pulled it: its blobs must be fetched again.
  await removeImage(await pullImage(suite.crid, 'docker.io/crid-test/many-layers:latest'));
  const owner = await proxyFor(t, guarded(other));
  const image = `${owner.host}/crid-test/many-layers:latest`;
  await suite.crid.images.pullImage({ image: { image }, auth });
  assert.ok(owner.authorizations.includes(basic('user', PASSWORD)));
  assert.deepEqual([other.requests.length > 0, other.authorizations], [true, []]);
  await removeImage(image);

  const second = await proxyFor(t, guarded(greedy));
  const wanted = { image: { image: `${second.host}/crid-test/many-layers:latest` }, auth };
  const { message } = await failureOf(suite.crid.images.pullImage(wanted));
  assert.deepEqual(
    [greedy.requests.length > 0, greedy.authorizations, message.includes(PASSWORD)],
    [true, [], false],
    message,
  );
  assert.ok(!(await suite.crid.log()).includes(PASSWORD));
});

test('CVE-2020-15157: no response and no log contains credentials of the configuration', async () => {
  const configs = { 'registry.test': { auth: { username: 'user', password: PASSWORD } } };
  const crid = await startCrid(suite.stack, {
    config: { crid: { namespace: 'crid-credentials' }, images: { registry: { configs } } },
  });
  try {
    const { info } = await crid.runtime.status({ verbose: true });
    assert.ok(info['cridConfig']?.includes('registry.test'));
    assert.ok(!JSON.stringify(info).includes(PASSWORD));
    assert.ok(!(await crid.log()).includes(PASSWORD));
  } finally {
    await crid.stop();
    crid.close();
  }
});

test('CVE-2022-31030, CVE-2022-1708: endless output does not fill the memory, 16 MiB a stream are kept', async () => {
  const id = await suite.pod.run();
  const before = await residentBytes();
  await assertFails(shell(id, 'yes', 2n), 'DEADLINE_EXCEEDED', '2 s');
  await assertFails(shell(id, 'yes >&2', 2n), 'DEADLINE_EXCEEDED', '2 s');
  assert.ok((await residentBytes()) - before < 200 * MIB, `${before} bytes before, ${await residentBytes()} after`);

  // A response has at most 16 MiB, which is a kubelet's limit.
  const sizes = [];
  for (const [out, err] of [
    [20 * MIB, 2000],
    [2000, 20 * MIB],
    [20 * MIB, 20 * MIB],
  ]) {
    const answer = await shell(id, `yes | head -c ${out} & yes | head -c ${err} >&2; wait; exit 5`);
    sizes.push([answer.exit_code, answer.stdout.length, answer.stderr.length]);
  }
  const ALL = 16 * MIB - 64;
  assert.deepEqual(sizes, [
    [5, ALL - 2000, 2000],
    [5, 2000, ALL - 2000],
    [5, ALL / 2, ALL / 2],
  ]);
  await remove(id);
});

test('CVE-2026-53495: a background child does not delay the call; 100 such probes leave nothing behind', async () => {
  const id = await suite.pod.run();
  const probe = async (): Promise<void> => {
    const { stdout, exit_code: code } = await shell(id, 'sleep 2 & echo probed');
    assert.deepEqual([Buffer.from(stdout).toString(), code], ['probed\n', 0]);
  };
  await Promise.all(Array.from({ length: 20 }, probe));
  await settled(id);
  const before = { fds: await openFiles(), bytes: await residentBytes() };
  for (let round = 0; round < 5; round++) await Promise.all(Array.from({ length: 20 }, probe));
  await settled(id);
  const after = { fds: await openFiles(), bytes: await residentBytes() };
  assert.ok(after.fds <= before.fds + 2, `${before.fds} files before, ${after.fds} after`);
  assert.ok(after.bytes < before.bytes + 50 * MIB, `${before.bytes} bytes before, ${after.bytes} after`);
  await remove(id);
});

/** Waits until the container has no exec left: no FIFOs and no operation. */
async function settled(id: string): Promise<void> {
  const io = join(suite.stack.containerd.state, 'io.containerd.grpc.v1.cri', 'containers', id, 'io');
  await until('the execs have gone', SETTLE_LIMIT_MS, async () => {
    const running = await runningOperations(suite.crid.runtime);
    return ((await readdir(io)).length === 1 && running.length === 0) || undefined;
  });
}

const openFiles = async (): Promise<number> => (await readdir(`/proc/${suite.crid.pid()}/fd`)).length;

async function residentBytes(): Promise<number> {
  const status = await readFile(`/proc/${suite.crid.pid()}/status`, 'utf8');
  return Number(/^VmRSS:\s+(\d+) kB$/m.exec(status)?.[1]) * 1024;
}

test('CVE-2021-21334: containers of one image, created at once, share no environment', async () => {
  const ids = await Promise.all(
    Array.from({ length: 6 }, (_, index) =>
      suite.pod.run({ envs: [{ key: `ONLY_${index}`, value: Buffer.from(String(index)) }], args: [] }),
    ),
  );
  const seen = await Promise.all(
    ids.map(async (id) => (await suite.pod.exec(id, ['sh', '-c', 'env | grep ONLY_'])).stdout),
  );
  assert.deepEqual(
    seen,
    ids.map((_, index) => `ONLY_${index}=${index}\n`),
  );
  const { info } = await suite.crid.images.imageStatus({ image: { image: BUSYBOX }, verbose: true });
  assert.ok(!info['info']?.includes('ONLY_'));
  await Promise.all(ids.map(remove));
});

test("CVE-2025-0750: a log path stays in the pod's log directory", async () => {
  const { config, id } = suite.pod;
  const outside = await mkdtemp(join(suite.stack.dir, 'outside-'));
  const up = relative(config.log_directory, outside);
  const { runtime } = suite.crid;
  for (const path of [join(up, 'log'), `a/../${up}/log`, '..', '.', `./..//${up}/log`]) {
    const request = { pod_sandbox_id: id, config: containerConfig({ log_path: path }), sandbox_config: config };
    await assertFails(runtime.createContainer(request), 'INVALID_ARGUMENT', 'config.log_path', path);
  }
  const sandbox = { ...config, log_directory: `${config.log_directory}/../${relative(suite.stack.dir, outside)}` };
  const request = { pod_sandbox_id: id, config: containerConfig(), sandbox_config: sandbox };
  await assertFails(runtime.createContainer(request), 'INVALID_ARGUMENT', 'sandbox_config.log_directory');
  assert.deepEqual(await readdir(outside), []);
});

test('CVE-2026-50195, CVE-2026-53492: a checkpoint image cannot refer to another image, a tag or a device', async (t) => {
  const registry = await startRegistry();
  t.after(() => registry.close());
  const other = `${registry.host}/team/other:latest`;
  const names = ['io.kubernetes.cri-o.annotations.checkpoint.name', 'org.criu.checkpoint.container.name'];
  for (const [index, name] of names.entries()) {
    const content = JSON.stringify({ rootfsImageRef: other, rootfsImageName: BUSYBOX, rootfsImage: other });
    const annotations = { [name]: 'counter', 'cdi.k8s.io/evil': 'vendor.com/device=all' };
    registry.put(`v${index}`, tinyImage({ annotations, file: { name: 'config.dump', content } }));
    const image = `${registry.host}/${REPOSITORY}:v${index}`;
    const tagged = await pullImage(suite.crid, image);
    const before = (await suite.crid.images.listImages({})).images;
    await assertFails(
      suite.pod.create({ image: { image } }),
      'FAILED_PRECONDITION',
      'config.image.image',
      'is a checkpoint of the container "counter"',
    );
    assert.deepEqual((await suite.crid.images.listImages({})).images, before);
    await suite.crid.images.removeImage({ image: { image: tagged } });
  }
  assert.deepEqual(
    registry.requests.filter((request) => request.includes('other')),
    [],
  );
});

test('CVE-2026-50195: the path of a checkpoint archive is not an image', async () => {
  const image = join(suite.stack.dir, 'checkpoint.tar');
  await writeFile(image, '');
  const { code } = await failureOf(suite.pod.create({ image: { image } }));
  assert.ok(['NOT_FOUND', 'INVALID_ARGUMENT'].includes(code), code);
});

test('CVE-2026-53489: a pod is neither checkpointed nor restored', async () => {
  const client = new Client(`unix://${suite.crid.socket}`, credentials.createInsecure());
  const same = (bytes: Buffer): Buffer => bytes;
  const codeOf = (method: string): Promise<number | undefined> =>
    new Promise((resolve) => {
      const path = `/runtime.v1.RuntimeService/${method}`;
      client.makeUnaryRequest(path, same, same, Buffer.alloc(0), (error) => resolve(error?.code));
    });
  const codes = [await codeOf('CheckpointPod'), await codeOf('RestorePod')];
  client.close();
  assert.deepEqual(codes, [status.UNIMPLEMENTED, status.UNIMPLEMENTED]);
});

test('CVE-2020-15257: crid listens on no abstract socket, and on no port that other hosts can reach', async () => {
  const inodes = await socketsOf(suite.crid.pid());
  const unix = (await readFile('/proc/net/unix', 'utf8')).split('\n').map((line) => line.trim().split(/\s+/));
  const own = unix.filter(([, , , , , , inode = '']) => inodes.has(inode)).map((fields) => fields[7] ?? '');
  // The socket is created in a private directory beside its path and then renamed; the kernel shows the original path.
  assert.ok(
    own.some((path) => path.startsWith(dirname(suite.crid.socket))),
    own.join(' '),
  );
  assert.deepEqual(
    own.filter((path) => path.startsWith('@')),
    [],
  );
  assert.deepEqual(
    (await listeners(inodes)).filter((address) => !LOOPBACK.includes(address)),
    [],
  );
});

/** 127.0.0.1 and ::1 in the notation of /proc/net/tcp and tcp6 on little-endian machines. */
const LOOPBACK = ['0100007F', '00000000000000000000000001000000'];
const LISTEN = '0A';

/** Returns the local addresses of the listening TCP sockets with these inodes. */
async function listeners(inodes: ReadonlySet<string>): Promise<string[]> {
  const text = (await readFile('/proc/net/tcp', 'utf8')) + (await readFile('/proc/net/tcp6', 'utf8').catch(() => ''));
  return text
    .split('\n')
    .map((line) => line.trim().split(/\s+/))
    .filter((fields) => fields[3] === LISTEN && inodes.has(fields[9] ?? ''))
    .map((fields) => (fields[1] ?? '').replace(/:.*/, ''));
}

async function socketsOf(pid: number): Promise<ReadonlySet<string>> {
  const folder = `/proc/${pid}/fd`;
  const targets = await Promise.all((await readdir(folder)).map((fd) => readlink(join(folder, fd)).catch(() => '')));
  return new Set(targets.flatMap((target) => /^socket:\[(\d+)\]$/.exec(target)?.[1] ?? []));
}
