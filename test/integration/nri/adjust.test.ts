import assert from 'node:assert/strict';
import { spawn, type ChildProcess } from 'node:child_process';
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { until } from '../../../tools/stack/wait.js';
import { ensureGoProgram } from '../../harness/go-program.js';
import { runPod } from '../../harness/pod.js';
import { assertFails, startSuite } from '../rpc/suite.js';
import { NRI } from './upstream-program.js';

/** A plugin over upstream's stub, which connects: what it is told, and its adjustments from inside the container. */

const LIMIT_MS = 30_000;
let socket = '';
const suite = startSuite({
  crid(stack) {
    socket = join(stack.dir, 'nri', 'nri.sock');
    return { config: { nri: { enabled: true, socket_path: socket, plugin_path: join(stack.dir, 'no-plugins') } } };
  },
});
let plugin: ChildProcess | undefined;
let adjustment = '';
const events: Told[] = [];

/** An event as the plugin prints it, without empty members. */
interface Told {
  readonly event: string;
  readonly [member: string]: unknown;
}

async function startPlugin(): Promise<void> {
  const program = await ensureGoProgram('nri-adjuster', { 'github.com/containerd/nri': NRI });
  adjustment = join(suite.stack.dir, 'adjustment.json');
  await adjustBy({});
  plugin = spawn(program, ['-adjust', adjustment, '-socket', socket], { stdio: ['ignore', 'pipe', 'inherit'] });
  plugin.stdout!.setEncoding('utf8').on('data', (text: string) => {
    for (const line of text.trimEnd().split('\n')) events.push(JSON.parse(line) as Told);
  });
  await until(
    'the plugin is synchronized',
    LIMIT_MS,
    () => events.some(({ event }) => event === 'Synchronize') || undefined,
  );
}

let starting: Promise<void> | undefined;
/** The hooks of a file run side by side, so the plugin starts in the first test, when crid serves. */
const pluginReady = (): Promise<void> => (starting ??= startPlugin());
after(() => void plugin?.kill());

const adjustBy = (adjust: object): Promise<void> => writeFile(adjustment, JSON.stringify(adjust));

/** Each adjustment with a script that shows it, and what the script prints. */
const SEEN: readonly [name: string, adjust: object, script: string, expected: string][] = [
  ['a variable', { env: [{ key: 'NRI', value: 'yes' }] }, 'echo $NRI', 'yes'],
  ['a removed variable', { env: [{ key: '-HOSTNAME' }] }, 'env | grep -c ^HOSTNAME= || true', '0'],
  [
    'a mount',
    { mounts: [{ destination: '/nri', type: 'tmpfs', source: 'tmpfs', options: ['size=64k', 'ro'] }] },
    "grep ' /nri ' /proc/mounts | cut -d' ' -f3",
    'tmpfs',
  ],
  [
    'a device',
    { linux: { devices: [{ path: '/dev/nri', type: 'c', major: '1', minor: '5', fileMode: { value: 438 } }] } },
    'head -c 2 /dev/nri | od -An -tx1',
    '00 00',
  ],
  ['a limit', { rlimits: [{ type: 'RLIMIT_NOFILE', hard: '77', soft: '66' }] }, 'ulimit -n; ulimit -Hn', '66\n77'],
  ['an OOM score', { linux: { oomScoreAdj: { value: '432' } } }, 'cat /proc/1/oom_score_adj', '432'],
  [
    'an I/O priority',
    { linux: { ioPriority: { class: 'IOPRIO_CLASS_BE', priority: 6 } } },
    'ionice -p 1',
    'best-effort: prio 6',
  ],
  ['a scheduler', { linux: { scheduler: { policy: 'SCHED_BATCH' } } }, 'grep ^policy /proc/1/sched | tr -dc 0-9', '3'],
  [
    'seccomp',
    {
      linux: {
        seccompPolicy: {
          defaultAction: 'SCMP_ACT_ALLOW',
          syscalls: [{ names: ['mkdir', 'mkdirat'], action: 'SCMP_ACT_ERRNO', errnoRet: { value: 1 } }],
        },
      },
    },
    'mkdir /tmp/x 2>&1 | grep -o "not permitted"',
    'not permitted',
  ],
];

for (const [name, adjust, script, expected] of SEEN) {
  test(`${name} of a plugin over NRI ${NRI} is seen in the container`, async () => {
    await pluginReady();
    await adjustBy(adjust);
    const pod = await runPod(suite.crid, suite.stack);
    const id = await pod.run({ linux: { security_context: { namespace_options: { pid: 1 } } } });
    const { stdout } = await pod.exec(id, ['sh', '-c', script]);
    assert.equal(stdout.trim(), expected);
  });
}

test('the plugin is told each event of a pod and its container once, in order, with their data', async () => {
  await pluginReady();
  await adjustBy({});
  events.length = 0;
  const { runtime } = suite.crid;
  const pod = await runPod(suite.crid, suite.stack);
  const id = await pod.run();
  await runtime.updateContainerResources({ container_id: id, linux: { cpu_shares: 300n } });
  await runtime.updatePodSandboxResources({ pod_sandbox_id: pod.id, resources: { cpu_shares: 400n } });
  await runtime.stopContainer({ container_id: id, timeout: 1n });
  await runtime.removeContainer({ container_id: id });
  await runtime.stopPodSandbox({ pod_sandbox_id: pod.id });
  await runtime.removePodSandbox({ pod_sandbox_id: pod.id });
  await until('all is told', LIMIT_MS, () => events.some(({ event }) => event === 'RemovePodSandbox') || undefined);
  const ofPod = (event: string, more: object = {}): Told => ({
    event,
    pod: pod.id,
    namespace: 'test',
    ips: 1,
    ...more,
  });
  const ofContainer = (event: string, state: string, more: object = {}): Told =>
    ofPod(event, { container: id, state: `CONTAINER_${state}`, ...more });
  assert.deepEqual(events, [
    ofPod('RunPodSandbox'),
    ofContainer('CreateContainer', 'UNKNOWN'),
    ofContainer('ValidateContainerAdjustment', 'UNKNOWN'),
    ofContainer('PostCreateContainer', 'CREATED'),
    ofContainer('StartContainer', 'CREATED', { hasPid: true }),
    ofContainer('PostStartContainer', 'RUNNING', { hasPid: true }),
    ofContainer('UpdateContainer', 'RUNNING', { hasPid: true, shares: 300 }),
    ofContainer('PostUpdateContainer', 'RUNNING', { hasPid: true }),
    ofPod('UpdatePodSandbox', { shares: 400 }),
    ofPod('PostUpdatePodSandbox'),
    ofContainer('StopContainer', 'STOPPED'),
    ofContainer('RemoveContainer', 'STOPPED'),
    ofPod('StopPodSandbox'),
    ofPod('RemovePodSandbox'),
  ]);
});

test('the verbose Status has the registered plugins', async () => {
  await pluginReady();
  const { info } = await suite.crid.runtime.status({ verbose: true });
  assert.deepEqual(JSON.parse(info['nri'] ?? ''), { plugins: ['10-adjuster'] });
});

test('an adjustment is in the log and in the verbose status, without the values of variables', async () => {
  await pluginReady();
  await adjustBy({ env: [{ key: 'TOKEN', value: 'topsecret' }], annotations: { audit: 'after' } });
  const pod = await runPod(suite.crid, suite.stack);
  const id = await pod.create({ annotations: { audit: 'before' } });
  const changes = [
    { field: 'annotations[audit]', before: 'before', after: 'after' },
    { field: 'env[TOKEN]', before: '', after: '(hidden)' },
  ];
  const { info } = await suite.crid.runtime.containerStatus({ container_id: id, verbose: true });
  assert.deepEqual((JSON.parse(info['info'] ?? '') as Record<string, unknown>)['nriAdjustments'], [
    { plugin: '10-adjuster', changes, more: 0 },
  ]);
  const line = (await suite.crid.logLines()).find((each) => each['container'] === id && 'changes' in each);
  assert.deepEqual([line?.['plugin'], line?.['changes']], ['10-adjuster', changes]);
  assert.doesNotMatch(JSON.stringify(line), /topsecret/);
});

test('a container that the plugin rejects is not created', async () => {
  await pluginReady();
  await adjustBy({ annotations: { reject: 'not on this node' } });
  const pod = await runPod(suite.crid, suite.stack);
  await assertFails(pod.create(), 'FAILED_PRECONDITION', '10-adjuster', 'not on this node');
  const { containers } = await suite.crid.runtime.listContainers({ filter: { pod_sandbox_id: pod.id } });
  assert.deepEqual(containers, []);
});

test('a plugin that connects after a restart of crid is told what is there once, and then only its end', async () => {
  await pluginReady();
  await adjustBy({});
  const { runtime } = suite.crid;
  const pod = await runPod(suite.crid, suite.stack);
  const [running, ended] = [await pod.run(), await pod.run()];
  await runtime.stopContainer({ container_id: ended, timeout: 0n });
  await suite.crid.restart();
  events.length = 0;
  await startPlugin();
  const { pods, containers } = events.find(({ event }) => event === 'Synchronize') as { [kind: string]: string[] };
  const mine = (ids: string[] = []): string[] => ids.filter((id) => [pod.id, running, ended].includes(id));
  assert.deepEqual([mine(pods), mine(containers)], [[pod.id], [running]]);
  await pod.remove();
  const isRemoved = (id: string): boolean =>
    events.some((told) => told.event === 'RemovePodSandbox' && told['pod'] === id);
  await until('the removal is told', LIMIT_MS, () => isRemoved(pod.id) || undefined);
  assert.deepEqual(
    events.filter((told) => told['pod'] === pod.id).map(({ event, container }) => [event, container]),
    [
      ['StopContainer', running],
      ['StopPodSandbox', undefined],
      ['RemoveContainer', running],
      ['RemovePodSandbox', undefined],
    ],
  );
});
