import assert from 'node:assert/strict';
import { mkdtemp, readFile, readlink, stat, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { test } from 'node:test';
import {
  ContainerState,
  NamespaceMode,
  SecurityProfile_ProfileType,
  type ContainerConfig,
} from '../../../generated/runtime/v1/api.js';
import { BUSYBOX, containerConfig, pullImage, runPod } from '../../harness/pod.js';
import { SHARED_PIDS } from '../../harness/sandboxer.js';
import { limitMs } from '../../harness/slowness.js';
import { until } from '../../../tools/stack/wait.js';
import { limitsOf } from './cgroup.js';
import { assertFails, startSuite, type BadRequest } from './suite.js';

const suite = startSuite({ withPod: true });
const UNKNOWN = 'f'.repeat(64);
const MIB = 1024 * 1024;
const ENDED_WITHIN_MS = limitMs(10_000);
const text = (value: string): Buffer => Buffer.from(value);

/** With a separate pid namespace, pid 1 is the container's command and not the pod's pause process. */
const OWN_PROCESSES = { namespace_options: { pid: NamespaceMode.CONTAINER } };

type Partial = Parameters<typeof containerConfig>[0];
type Context = NonNullable<NonNullable<Partial>['linux']>['security_context'];

const create = (config: ContainerConfig, podId = suite.pod.id): Promise<{ container_id: string }> =>
  suite.crid.runtime.createContainer({ pod_sandbox_id: podId, config, sandbox_config: suite.pod.config });
const remove = (id: string): Promise<unknown> => suite.crid.runtime.removeContainer({ container_id: id });
const bad = (config: Partial) => (): Promise<unknown> => create(containerConfig(config));
const badContext = (context: Context) => bad({ linux: { security_context: context } });

/** Runs a container and a script in it, removes the container, and returns the script's output. */
async function inside(config: Partial, script: string): Promise<string> {
  const id = await suite.pod.run(config);
  const { stdout, stderr } = await suite.pod.exec(id, ['sh', '-c', script]);
  await remove(id);
  return stdout + stderr;
}

async function pidOf(id: string): Promise<number> {
  const { info } = await suite.crid.runtime.containerStatus({ container_id: id, verbose: true });
  return (JSON.parse(info['info'] ?? '') as { pid: number }).pid;
}

test('errors of bad requests have the right code, name the problem and leave nothing behind', async (t) => {
  const { runtime } = suite.crid;
  const file = join(await mkdtemp(join(suite.stack.dir, 'file-')), 'a-file');
  await writeFile(file, '');
  const good = containerConfig();
  const of = { pod_sandbox_id: suite.pod.id, config: good, sandbox_config: suite.pod.config };
  const requests: BadRequest[] = [
    ['unknown pod', () => create(good, UNKNOWN), 'NOT_FOUND', UNKNOWN],
    ['no pod', () => create(good, ''), 'INVALID_ARGUMENT', 'pod_sandbox_id'],
    ['no config', () => runtime.createContainer({ ...of, config: undefined }), 'INVALID_ARGUMENT', 'config'],
    [
      'no pod config',
      () => runtime.createContainer({ ...of, sandbox_config: undefined }),
      'INVALID_ARGUMENT',
      'sandbox_config',
    ],
    ['no metadata', () => create({ ...good, metadata: undefined }), 'INVALID_ARGUMENT', 'config.metadata'],
    [
      'no name',
      () => create({ ...good, metadata: { name: '', attempt: 0 } }),
      'INVALID_ARGUMENT',
      'config.metadata.name',
    ],
    ['no image', () => create({ ...good, image: undefined }), 'INVALID_ARGUMENT', 'config.image.image'],
    ['image that is not there', bad({ image: { image: 'example.test/none:1' } }), 'NOT_FOUND', 'example.test/none:1'],
    ['image that is not there, by its id', bad({ image: { image: `sha256:${UNKNOWN}` } }), 'NOT_FOUND', UNKNOWN],
    ['unknown user', badContext({ run_as_username: 'no-such-user' }), 'NOT_FOUND', 'no-such-user'],
    ['uid that is none', badContext({ run_as_user: { value: 2n ** 32n } }), 'INVALID_ARGUMENT', 'run_as_user'],
    ['group without a user', badContext({ run_as_group: { value: 1n } }), 'INVALID_ARGUMENT', 'run_as_group'],
    [
      'process namespace of an unknown container',
      badContext({ namespace_options: { pid: NamespaceMode.TARGET, target_id: UNKNOWN } }),
      'NOT_FOUND',
      UNKNOWN,
    ],
    [
      'seccomp profile that is not there',
      badContext({
        seccomp: { profile_type: SecurityProfile_ProfileType.Localhost, localhost_ref: '/no/such/profile.json' },
      }),
      'INVALID_ARGUMENT',
      '/no/such/profile.json',
    ],
    ['relative directory', bad({ working_dir: 'tmp' }), 'INVALID_ARGUMENT', 'config.working_dir'],
    ['environment', bad({ envs: [{ key: 'A=B', value: text('c') }] }), 'INVALID_ARGUMENT', 'config.envs[0].key'],
    ['log path', bad({ log_path: '../log' }), 'INVALID_ARGUMENT', 'config.log_path'],
    [
      'mount that is not absolute',
      bad({ mounts: [{ host_path: 'tmp', container_path: '/tmp' }] }),
      'INVALID_ARGUMENT',
      'config.mounts[0].host_path',
    ],
    [
      'mount whose source cannot be made',
      bad({
        mounts: [
          { host_path: '/tmp', container_path: '/a' },
          { host_path: `${file}/below`, container_path: '/b' },
        ],
      }),
      'FAILED_PRECONDITION',
      'config.mounts[1].host_path',
      `${file}/below`,
    ],
    [
      'device that is not there',
      bad({ devices: [{ host_path: '/dev/no-such-device', container_path: '/dev/x', permissions: 'rw' }] }),
      'INVALID_ARGUMENT',
      '/dev/no-such-device',
    ],
    [
      'limit',
      bad({ linux: { resources: { memory_limit_in_bytes: -2n } } }),
      'INVALID_ARGUMENT',
      'config.linux.resources.memory_limit_in_bytes',
    ],
  ];
  for (const [name, call, ...expected] of requests) await t.test(name, () => assertFails(call(), ...expected));
  assert.deepEqual((await runtime.listContainers({})).containers, []);
});

test('an equal request gets the same container; with another config, or after it has run, it does not', async () => {
  const config = containerConfig();
  const both = await Promise.all([create(config), create(config)]);
  const { container_id: id } = await create(config);
  assert.deepEqual(
    both.map((each) => each.container_id),
    [id, id],
  );
  const other = { ...config, args: ['other'] };
  await assertFails(create(other), 'ALREADY_EXISTS', config.metadata!.name, id, 'another config');
  await suite.crid.runtime.startContainer({ container_id: id });
  await assertFails(create(config), 'ALREADY_EXISTS', id, 'running');
  await remove(id);
  const again = await create(config);
  assert.notEqual(again.container_id, id);
  await remove(again.container_id);
});

test('command, arguments, environment and directory', async () => {
  const id = await suite.pod.run({
    command: ['sh', '-c'],
    args: [
      'trap exit TERM; echo "$0" "$@" >/tmp/args; pwd >>/tmp/args; env >>/tmp/args; sleep 100 & wait',
      'name',
      'a b',
    ],
    working_dir: '/made/for/it',
    envs: [
      { key: 'PLAIN', value: text('value') },
      { key: 'ODD', value: text('a=b "c" $d ☃') },
      { key: 'EMPTY', value: text('') },
    ],
  });
  const lines = (await suite.pod.exec(id, ['cat', '/tmp/args'])).stdout.split('\n');
  const variable = (name: string): string | undefined =>
    lines.find((line) => line.startsWith(`${name}=`))?.slice(name.length + 1);
  assert.deepEqual(
    { args: lines[0], pwd: lines[1], PLAIN: variable('PLAIN'), ODD: variable('ODD'), EMPTY: variable('EMPTY') },
    { args: 'name a b', pwd: '/made/for/it', PLAIN: 'value', ODD: 'a=b "c" $d ☃', EMPTY: '' },
  );
  await remove(id);
});

test("the image's entrypoint, command and environment, if the request has none", async () => {
  const [entrypoint, env] = ['docker.io/crid-test/entrypoint:latest', 'docker.io/crid-test/env:latest'];
  await pullImage(suite.crid, entrypoint);
  await pullImage(suite.crid, env);
  const output = async (config: Partial): Promise<string> => {
    const id = await suite.pod.create({ name: 'printer', command: [], ...config });
    await suite.crid.runtime.startContainer({ container_id: id });
    await until('it has ended', ENDED_WITHIN_MS, async () =>
      (await suite.crid.runtime.containerStatus({ container_id: id })).status?.finished_at ? true : undefined,
    );
    const log = await readFile(suite.pod.logPath('printer'), 'utf8');
    await remove(id);
    return log.trim().split(' ').slice(3).join(' ');
  };
  const variables = await inside(
    { image: { image: env }, envs: [{ key: 'OVERRIDDEN', value: text('request') }] },
    'echo "$FROM_IMAGE,$OVERRIDDEN,$SPACES"',
  );
  assert.deepEqual(
    [await output({ image: { image: entrypoint } }), variables],
    ['entry command', 'image,request,a b  c\n'],
  );
});

test('the user by id, by name, with groups', async () => {
  const id = (context: Context): Promise<string> => inside({ linux: { security_context: context } }, 'id');
  assert.deepEqual(
    [
      await id({}),
      await id({ run_as_user: { value: 33n } }),
      await id({ run_as_user: { value: 1234n }, run_as_group: { value: 4321n }, supplemental_groups: [100n, 7777n] }),
      await id({ run_as_username: 'www-data' }),
    ],
    [
      'uid=0(root) gid=0(root) groups=0(root)\n',
      'uid=33(www-data) gid=33(www-data) groups=33(www-data)\n',
      'uid=1234 gid=4321 groups=100(users),4321,7777\n',
      'uid=33(www-data) gid=33(www-data) groups=33(www-data)\n',
    ],
  );
});

test('mounts of the host: read, written, read-only; a missing source is made as a directory', async () => {
  const dir = await mkdtemp(join(suite.stack.dir, 'mounted-'));
  await writeFile(join(dir, 'file'), 'of the host\n');
  const mounts = [
    { host_path: dir, container_path: '/rw' },
    { host_path: join(dir, 'file'), container_path: '/file', readonly: true },
    { host_path: join(dir, 'missing', 'deep'), container_path: '/made' },
  ];
  const output = await inside(
    { mounts },
    'cat /rw/file; echo x >/rw/new; echo y >/made/new; stat -c %a /made; (echo more >>/file) 2>/dev/null || echo read-only',
  );
  assert.deepEqual(
    {
      output,
      written: await readFile(join(dir, 'new'), 'utf8'),
      made: await readFile(join(dir, 'missing', 'deep', 'new'), 'utf8'),
      isDirectory: (await stat(join(dir, 'missing', 'deep'))).isDirectory(),
    },
    {
      output: 'of the host\n755\nread-only\n',
      written: 'x\n',
      made: 'y\n',
      isDirectory: true,
    },
  );
});

test('a read-only root, with writable mounts', async () => {
  assert.equal(
    await inside({ linux: { security_context: { readonly_rootfs: true } } }, 'touch /x; touch /dev/shm/x && echo shm'),
    'shm\ntouch: /x: Read-only file system\n',
  );
});

test("limits are in the container's cgroup, and the OOM score on its process", async () => {
  const id = await suite.pod.run({
    linux: {
      resources: {
        memory_limit_in_bytes: BigInt(64 * MIB),
        cpu_quota: 20_000n,
        cpu_period: 100_000n,
        cpuset_cpus: '0',
        oom_score_adj: 700n,
      },
    },
  });
  const pid = await pidOf(id);
  assert.deepEqual(
    { limits: await limitsOf(pid), score: (await readFile(`/proc/${pid}/oom_score_adj`, 'utf8')).trim() },
    { limits: { memoryBytes: 64 * MIB, quotaUs: 20_000, periodUs: 100_000, cpus: '0' }, score: '700' },
  );
  await remove(id);
});

test('capabilities are added and dropped', async () => {
  const bits = async (context: Context): Promise<bigint> => {
    const status = await inside(
      { linux: { security_context: { ...context, ...OWN_PROCESSES } } },
      'grep CapEff: /proc/1/status',
    );
    return BigInt(`0x${status.split(/\s+/)[1]}`);
  };
  const bit = (number: number): bigint => 1n << BigInt(number);
  const [CHOWN, NET_ADMIN] = [bit(0), bit(12)];
  const usual = await bits({});
  assert.deepEqual(
    {
      usual: usual & (CHOWN | NET_ADMIN),
      changed: await bits({ capabilities: { add_capabilities: ['NET_ADMIN'], drop_capabilities: ['CAP_CHOWN'] } }),
      none: await bits({ capabilities: { drop_capabilities: ['ALL'] } }),
    },
    { usual: CHOWN, changed: (usual | NET_ADMIN) & ~CHOWN, none: 0n },
  );
});

test('seccomp: the default profile, or none', async () => {
  const mode = (type: SecurityProfile_ProfileType): Promise<string> =>
    inside(
      { linux: { security_context: { seccomp: { profile_type: type }, ...OWN_PROCESSES } } },
      'grep Seccomp: /proc/1/status; unshare -U true',
    );
  assert.match(await mode(SecurityProfile_ProfileType.RuntimeDefault), /^Seccomp:\t2\nunshare: .*not permitted/);
  assert.match(await mode(SecurityProfile_ProfileType.Unconfined), /^Seccomp:\t0\n/);
});

test('containers of a pod share network, IPC and hostname; processes if requested', async () => {
  const KINDS = ['net', 'ipc', 'uts', 'mnt', 'pid'];
  const pod = await runPod(suite.crid, suite.stack, SHARED_PIDS);
  const namespaces = async (options: object = {}): Promise<{ id: string; of: string[] }> => {
    const id = await pod.run({ linux: { security_context: { namespace_options: options } } });
    const { stdout } = await pod.exec(id, [
      'sh',
      '-c',
      `for n in ${KINDS.join(' ')}; do readlink /proc/self/ns/$n; done`,
    ]);
    return { id, of: stdout.trim().split('\n') };
  };
  const [own, other] = [
    await namespaces({ pid: NamespaceMode.CONTAINER }),
    await namespaces({ pid: NamespaceMode.CONTAINER }),
  ];
  const target = await namespaces({ pid: NamespaceMode.TARGET, target_id: own.id });
  const [one, two] = [await namespaces({ pid: NamespaceMode.POD }), await namespaces({ pid: NamespaceMode.POD })];
  const shared = (a: { of: string[] }, b: { of: string[] }): string[] =>
    KINDS.filter((_, index) => a.of[index] === b.of[index]);
  assert.deepEqual(
    [shared(own, other), shared(own, target), shared(one, two), shared(own, one)],
    [
      ['net', 'ipc', 'uts'],
      ['net', 'ipc', 'uts', 'pid'],
      ['net', 'ipc', 'uts', 'pid'],
      ['net', 'ipc', 'uts'],
    ],
  );
  await pod.remove();
});

test("a pod of the node's process and IPC namespaces", async () => {
  const linux = { security_context: { namespace_options: { pid: NamespaceMode.NODE, ipc: NamespaceMode.NODE } } };
  const pod = await runPod(suite.crid, suite.stack, { linux });
  const id = await pod.run({ linux });
  const script = 'for n in pid ipc mnt; do readlink /proc/self/ns/$n; done';
  const found = (await pod.exec(id, ['sh', '-c', script])).stdout.trim().split('\n');
  const ofHost = await Promise.all(['pid', 'ipc', 'mnt'].map((kind) => readlink(`/proc/self/ns/${kind}`)));
  assert.deepEqual(
    found.map((namespace, index) => namespace === ofHost[index]),
    [true, true, false],
  );
  await pod.remove();
});

test('a created container does not run and has its snapshot and record', async () => {
  const id = await suite.pod.create({ labels: { a: 'b' } });
  const { status } = await suite.crid.runtime.containerStatus({ container_id: id });
  assert.deepEqual(
    { state: status?.state, image: status?.image?.image, labels: status?.labels, started: status?.started_at },
    { state: ContainerState.CONTAINER_CREATED, image: BUSYBOX, labels: { a: 'b' }, started: 0n },
  );
  await remove(id);
});
