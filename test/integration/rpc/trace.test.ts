import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { test } from 'node:test';
import { killOnExit } from '../../../tools/stack/disposers.js';
import { run } from '../../../tools/stack/exec.js';
import { projectRoot } from '../../../tools/stack/project.js';
import { until } from '../../../tools/stack/wait.js';
import { runPod } from '../../harness/pod.js';
import { SHARED_PIDS } from '../../harness/sandboxer.js';
import { startSuite } from './suite.js';

/** `crid trace` on a running crid. */

const program = process.env['CRID_TEST_PROGRAM'] ?? join(projectRoot, 'bin', 'crid');
const LIMIT_MS = 30_000;
const suite = startSuite();

const trace = (...args: string[]): Promise<string> =>
  run(program, ['trace', ...args, '--socket', suite.crid.socket], { timeoutMs: LIMIT_MS });

test('the life of a pod as text, as trace events and as a page; also when the pod is gone', async () => {
  const { runtime } = suite.crid;
  const pod = await runPod(suite.crid, suite.stack, SHARED_PIDS);
  const container = await pod.run({ name: 'sleeper', command: ['sleep', '1000'] });
  await runtime.removePodSandbox({ pod_sandbox_id: pod.id });

  const text = await trace(pod.id);
  const calls = [...text.matchAll(/^\d{4}-\S+ \S+ {2}(\w+) /gm)].map(([, method]) => method);
  assert.deepEqual(calls, ['RunPodSandbox', 'CreateContainer', 'StartContainer', 'RemovePodSandbox']);
  for (const line of [/─ add network /, /─ containerd tasks\.create /, /─ containerd snapshots\.prepare /]) {
    assert.match(text, line);
  }
  // An error is printed whole.
  const spansOfText = text.split('\n').filter((line) => /─ .* \+[\d.]+ m?s /.test(line));
  assert.ok(spansOfText.length > 10 && spansOfText.every((line) => line.length <= 120));

  const { traceEvents } = JSON.parse(await trace(pod.id, '--json')) as {
    traceEvents: { ph: string; pid: number; name: string; ts: number; dur: number }[];
  };
  const spans = traceEvents.filter(({ ph, pid }) => ph === 'X' && pid === 1);
  const [call] = spans;
  const [create, start] = ['create', 'start'].map((step) =>
    spans.find(({ name }) => name === `containerd tasks.${step} ${pod.id.slice(0, 13)}`),
  );
  assert.ok(call && create && start, JSON.stringify(spans));
  assert.ok(call.ts <= create.ts && create.ts + create.dur <= start.ts && start.ts + start.dur <= call.ts + call.dur);

  const file = join(suite.stack.dir, `trace-${pod.id}.html`);
  assert.equal(await trace(pod.id, '--html', file), `4 calls in ${file}\n`);
  assert.ok((await readFile(file, 'utf8')).includes(`containerd tasks.start ${container.slice(0, 13)}`));
});

test('a follower sees calls as they end, and does not hold up the end of crid', async () => {
  const child = spawn(program, ['trace', '--follow', '--reads', '--last', '1', '--socket', suite.crid.socket]);
  killOnExit(child.pid ?? 0);
  let shown = '';
  child.stdout.on('data', (data: Buffer) => (shown += data.toString()));
  const { runtime } = suite.crid;
  await until('the follower shows a list', LIMIT_MS, async () => {
    await runtime.listPodSandbox({ filter: undefined });
    return shown.includes('ListPodSandbox') || undefined;
  });
  await assert.rejects(runtime.startContainer({ container_id: 'no-such-container' }));
  await until('the follower shows an error', LIMIT_MS, () =>
    Promise.resolve(/StartContainer no-such-container .*\nNOT_FOUND: /.test(shown) || undefined),
  );
  const ended = once(child, 'exit');
  await suite.crid.restart();
  assert.deepEqual(await ended, [0, null]);
});
