import assert from 'node:assert/strict';
import { join } from 'node:path';
import { beforeEach, test } from 'node:test';
import { run } from '../../../tools/stack/exec.js';
import { shimsOf } from '../../../tools/stack/leftovers.js';
import { projectRoot } from '../../../tools/stack/project.js';
import { until } from '../../../tools/stack/wait.js';
import { podConfig, runPod } from '../../harness/pod.js';
import { createOddPlugin, type OddPlugin } from './odd-plugin.js';
import { startSuite } from './suite.js';

/** `crid why`, as an operator of a node runs it while something hangs: it blames what hangs. */

const program = process.env['CRID_TEST_PROGRAM'] ?? join(projectRoot, 'bin', 'crid');
const LIMIT_MS = 20_000;

let odd: OddPlugin;
const suite = startSuite({ crid: async (stack) => (odd = await createOddPlugin(stack)).options });
beforeEach(() => odd.tell('ADD', 'ok'));

const why = (...pod: string[]): Promise<string> =>
  run(program, ['why', ...pod, '--socket', suite.crid.socket], { timeoutMs: LIMIT_MS });

/** What it prints once that matches, without how long each thing has gone on and without the cut ids. */
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

test('a plugin that hangs, while the pod is in no list yet', async () => {
  await odd.tell('ADD', 'hang');
  const config = await podConfig(suite.stack);
  const { name = '', namespace = '' } = config.metadata ?? {};
  const running = suite.crid.runtime.runPodSandbox({ config });
  // The steps that run beside it are done soon.
  assert.deepEqual(await blamed(name, /^run pod sandbox.*\n.* add network: .*odd-plugin.*\n$/), [
    `run pod sandbox ${namespace}/${name}: for N s, 1 waiting`,
    '  add network: for N s, waiting for plugin odd-plugin (ADD, N s)',
  ]);
  await odd.tell('ADD', 'ok');
  const { pod_sandbox_id: id } = await running;
  assert.deepEqual((await blamed(id, /ready/)).at(-1), 'no operation runs');
  await suite.crid.runtime.removePodSandbox({ pod_sandbox_id: id });
});

test('a container that does not end, and a shim that does not answer', async () => {
  const { runtime } = suite.crid;
  const pod = await runPod(suite.crid, suite.stack);
  const [busy, gone] = [
    await pod.run({ name: 'busy', command: ['sh', '-c', 'trap "" TERM; while :; do sleep 1; done'] }),
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

  const shim = (await shimsOf(suite.stack.containerd.socket)).find(({ id }) => id === pod.id)!;
  const starting = await pod.create({ name: 'late' });
  process.kill(shim.pid, 'SIGSTOP');
  try {
    const started = runtime.startContainer({ container_id: starting });
    const told = await blamed(pod.id, /create task/);
    assert.deepEqual(told.slice(-2), ['start container ID: for N s, 1 waiting', '  create task: for N s']);
    process.kill(shim.pid, 'SIGCONT');
    await started;
  } finally {
    process.kill(shim.pid, 'SIGCONT');
  }
  await pod.remove();
});

test('without a pod, and of one that is not there', async () => {
  assert.equal(await why(), 'no operation runs\n');
  await assert.rejects(why('nobody'), /pod "nobody" not found/);
});
