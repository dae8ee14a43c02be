import assert from 'node:assert/strict';
import { join } from 'node:path';
import { beforeEach, test } from 'node:test';
import { run } from '../../../tools/stack/exec.js';
import { projectRoot } from '../../../tools/stack/project.js';
import { until } from '../../../tools/stack/wait.js';
import { ImageServiceDefinition, ImageSpec, RuntimeServiceDefinition } from '../../../generated/runtime/v1/api.js';
import { podConfig, runPod } from '../../harness/pod.js';
import { shimOfPod } from '../../harness/shim-of-pod.js';
import { callWithin } from './deadline.js';
import { createOddPlugin, type OddPlugin } from './odd-plugin.js';
import { startProxy } from './registry-proxy.js';
import { startSuite } from './suite.js';

/** Runs `crid why` while something hangs: its output must name what hangs. */

const program = process.env['CRID_TEST_PROGRAM'] ?? join(projectRoot, 'bin', 'crid');
const LIMIT_MS = 20_000;

let odd: OddPlugin;
const suite = startSuite({ crid: async (stack) => (odd = await createOddPlugin(stack)).options });
beforeEach(() => odd.tell('ADD', 'ok'));

const why = (...pod: string[]): Promise<string> =>
  run(program, ['why', ...pod, '--socket', suite.crid.socket], { timeoutMs: LIMIT_MS });

/** Waits until the output matches, and returns its lines without durations and with ids removed. */
const blamed = (pod: string, pattern: RegExp): Promise<string[]> =>
  until(`crid why blames ${String(pattern)}`, LIMIT_MS, async () => {
    const text = await why(pod);
    if (!pattern.test(text)) return undefined;
    return text
      .trimEnd()
      .replaceAll(/\b[\d.]+ s\b/g, 'N s')
      .replaceAll(/\b[0-9a-f]{13,64}\b/g, 'ID')
      .split('\n');
  });

test('a plugin that hangs, while the pod is not listed yet', async () => {
  await odd.tell('ADD', 'hang');
  const config = await podConfig(suite.stack);
  const { name = '', namespace = '' } = config.metadata ?? {};
  const running = suite.crid.runtime.runPodSandbox({ config });
  // The other steps of the operation finish soon.
  assert.deepEqual(await blamed(name, /^run pod sandbox.*\n.* add network: .*odd-plugin.*\n$/), [
    `run pod sandbox ${namespace}/${name}: for N s, 1 waiting`,
    '  add network: for N s, waiting for plugin odd-plugin (ADD, N s)',
  ]);
  const { runPodSandbox } = RuntimeServiceDefinition.methods;
  const { message } = await callWithin(suite.crid.socket, runPodSandbox, { config, runtime_handler: '' }, 2_000);
  assert.match(message, /: add network: waiting \d+ s for plugin odd-plugin \(ADD, [\d.]+ s\); it continues/);
  await odd.tell('ADD', 'ok');
  const { pod_sandbox_id: id } = await running;
  assert.deepEqual((await blamed(id, /ready/)).at(-1), 'no operation runs');
  await suite.crid.runtime.removePodSandbox({ pod_sandbox_id: id });
});

test('a container that does not end', async () => {
  const { runtime } = suite.crid;
  const pod = await runPod(suite.crid, suite.stack);
  const [busy, gone] = [
    await pod.runReady('busy', 'trap "" TERM; echo ready; while :; do sleep 1; done'),
    await pod.run({ name: 'gone', command: ['sh', '-c', 'exit 3'] }),
  ];
  await until('one has ended', LIMIT_MS, async () =>
    (await runtime.containerStatus({ container_id: gone })).status?.finished_at ? true : undefined,
  );
  const stopping = runtime.stopContainer({ container_id: busy, timeout: 60n });
  const lines = await blamed(pod.id.slice(0, 12), /wait for exit/);
  assert.deepEqual(
    [lines.slice(1, 3).sort(), lines.slice(3)],
    [
      ['  container busy ID: running', '  container gone ID: exited with 3, Error'],
      ['stop container ID: for N s, 1 waiting', '  wait for exit: for N s, waiting for container ID to end'],
    ],
  );
  await runtime.stopContainer({ container_id: busy, timeout: 0n });
  await stopping;

  await pod.remove();
});

test('a stopped shim, by its pid and state, for every call on a task', async () => {
  const { runtime, socket } = suite.crid;
  const pod = await runPod(suite.crid, suite.stack);
  const [busy, other] = [await pod.run({ name: 'busy' }), await pod.run({ name: 'other' })];
  const late = await pod.create({ name: 'late' });
  const shim = await shimOfPod(suite.crid, suite.stack, pod.id);
  const { execSync } = RuntimeServiceDefinition.methods;
  process.kill(shim.pid, 'SIGSTOP');
  const calls = [
    runtime.startContainer({ container_id: late }),
    runtime.stopContainer({ container_id: busy, timeout: 60n }),
    runtime.removeContainer({ container_id: other }).catch(() => undefined),
  ];
  try {
    const culprit = `shim ${shim.pid} (stopped)`;
    const told = await blamed(pod.id, /create task(.|\n)*send SIGTERM|send SIGTERM(.|\n)*create task/);
    assert.deepEqual(told.filter((line) => line.startsWith('  ') && line.includes('waiting for')).sort(), [
      `  create task: for N s, waiting for ${culprit} to answer tasks.create`,
      `  delete task: for N s, waiting for ${culprit} to answer tasks.kill`,
      `  send SIGTERM: for N s, waiting for ${culprit} to answer tasks.kill`,
    ]);
    const request = { container_id: busy, cmd: ['true'], timeout: 0n };
    const { code, message } = await callWithin(socket, execSync, request, 2_000);
    assert.deepEqual([code, message.includes(`${culprit} to answer tasks.exec`)], ['DEADLINE_EXCEEDED', true], message);
  } finally {
    process.kill(shim.pid, 'SIGCONT');
  }
  await Promise.all(calls);
  await runtime.removeContainer({ container_id: other });
  await pod.remove();
});

test('a stopped shim, for a pod whose containers are to be stopped', async () => {
  const { runtime, socket } = suite.crid;
  const pod = await runPod(suite.crid, suite.stack);
  const id = await pod.run({ name: 'busy' });
  const shim = await shimOfPod(suite.crid, suite.stack, pod.id);
  process.kill(shim.pid, 'SIGSTOP');
  const stopping = runtime.stopPodSandbox({ pod_sandbox_id: pod.id });
  try {
    const told = await blamed(pod.id, /kill containers.*shim/);
    const culprit = `shim ${shim.pid} (stopped) to answer tasks.kill`;
    assert.deepEqual(
      told.filter((line) => line.startsWith('  kill containers')),
      [`  kill containers: for N s, waiting for stop container ID (send SIGKILL: waiting N s for ${culprit})`],
    );
    const { stopPodSandbox } = RuntimeServiceDefinition.methods;
    const { message } = await callWithin(socket, stopPodSandbox, { pod_sandbox_id: pod.id }, 2_000);
    assert.ok(message.includes(`for stop container ${id} (send SIGKILL: waiting`), message);
    assert.ok(message.includes(culprit), message);
  } finally {
    process.kill(shim.pid, 'SIGCONT');
  }
  await stopping;
  await pod.remove();
});

test('a stalled registry, for a pull', async (t) => {
  const { images, socket } = suite.crid;
  // Accepts every request and responds to none.
  const proxy = await startProxy(suite.stack.registry.url, () => true);
  t.after(() => proxy.close());
  const image = `${proxy.host}/library/busybox:latest`;
  const pulling = images.pullImage({ image: { image } });
  pulling.catch(() => undefined);
  const lines = await until('crid why blames the registry', LIMIT_MS, async () => {
    const text = await why();
    return text.includes('fetch: ')
      ? text
          .replaceAll(/\b\d+ s\b/g, 'N s')
          .trimEnd()
          .split('\n')
      : undefined;
  });
  assert.deepEqual(lines, [`pull image ${image}: for N s, 1 waiting`, '  fetch: for N s, waiting for the registry']);
  const { pullImage } = ImageServiceDefinition.methods;
  const request = { image: ImageSpec.fromPartial({ image }), auth: undefined, sandbox_config: undefined };
  const { message } = await callWithin(socket, pullImage, request, 2_000, 'ImageService');
  assert.match(message, new RegExp(`^pull image ${image}: fetch: waiting \\d+ s for the registry; it continues`));
  proxy.close();
  await assert.rejects(pulling);
});

test('an operation that waits for another on the same container, with its step and the cause', async () => {
  const { runtime } = suite.crid;
  const pod = await runPod(suite.crid, suite.stack);
  // Without a pause container, the first container brings the shim.
  await pod.run({ name: 'first' });
  const id = await pod.create({ name: 'late' });
  const shim = await shimOfPod(suite.crid, suite.stack, pod.id);
  process.kill(shim.pid, 'SIGSTOP');
  const starting = runtime.startContainer({ container_id: id });
  try {
    await blamed(pod.id, /create task/);
    const removing = runtime.removeContainer({ container_id: id });
    removing.catch(() => undefined);
    const told = await blamed(pod.id, /wait for start container/);
    assert.deepEqual(told.slice(-2), [
      'remove container ID: for N s, 1 waiting',
      '  wait for start container: for N s, waiting for start container ID ' +
        `(create task: waiting N s for shim ${shim.pid} (stopped) to answer tasks.create)`,
    ]);
    const { removeContainer } = RuntimeServiceDefinition.methods;
    const { message } = await callWithin(suite.crid.socket, removeContainer, { container_id: id }, 2_000);
    assert.match(
      message,
      new RegExp(
        `wait for start container: waiting \\d+ s for start container ${id} ` +
          `\\(create task: waiting \\d+ s for shim ${shim.pid} \\(stopped\\) to answer tasks.create\\)`,
      ),
    );
  } finally {
    process.kill(shim.pid, 'SIGCONT');
  }
  await starting;
  await pod.remove();
});

test('without a pod, and with a pod that does not exist', async () => {
  assert.equal(await why(), 'no operation runs\n');
  await assert.rejects(why('nobody'), /pod "nobody" not found/);
});
