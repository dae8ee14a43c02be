import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { test } from 'node:test';
import { killOnExit } from '../../../tools/stack/disposers.js';
import { until } from '../../../tools/stack/wait.js';
import { ContainerState } from '../../../generated/runtime/v1/api.js';
import { criClient } from '../../harness/cri-client.js';
import { assertLeavesNothing, leaks } from '../../harness/leaks.js';
import { testStack } from '../../harness/test-stack.js';

/** `make run` on a machine's containerd. */

const RUN = new URL('../../../tools/run.js', import.meta.url).pathname;
const LIMIT_MS = 120_000;

test('make run: a first pod; a killed crid starts again over it; Ctrl-C leaves nothing behind', async () => {
  const stack = await testStack();
  const baseline = await leaks(stack);
  const child = spawn(process.execPath, [RUN, '--containerd-config', stack.containerd.config], {
    stdio: ['ignore', 'pipe', 'inherit'],
    detached: true,
  });
  const ended = once(child, 'exit') as Promise<[number | null]>;
  void ended.then(killOnExit(child.pid ?? 0));
  let said = '';
  child.stdout.setEncoding('utf8').on('data', (text: string) => void (said += text));
  const hears = (what: RegExp): Promise<string> =>
    until(String(what), LIMIT_MS, () => {
      if (child.exitCode !== null) throw new Error(`it has ended (${child.exitCode})`);
      return what.exec(said)?.[1];
    });

  const [socket, pid] = [await hears(/socket +unix:\/\/(\S+)/), Number(await hears(/kill -9 (\d+)/))];
  assert.match(said, /Z stdout F hello from pod \S+$/m);
  const crid = criClient(socket);
  const running = async () => {
    const { containers } = await crid.runtime.listContainers({});
    return containers.map(({ id, state, metadata }) => ({ id, name: metadata?.name, state }));
  };
  const before = await running();
  process.kill(pid, 'SIGKILL');
  await hears(/crid has ended \((SIGKILL)\), start it again over the pods that run \([\d.]+ s\)/);
  const after = await running();
  crid.close();
  child.kill('SIGINT');
  const [code] = await ended;

  assert.deepEqual(
    before.map(({ name, state }) => [name, state]),
    [['hello', ContainerState.CONTAINER_RUNNING]],
  );
  assert.deepEqual(after, before);
  assert.deepEqual([code, said.trimEnd().split('\n').at(-1)], [0, 'everything that was started is stopped']);
  await assertLeavesNothing(stack, baseline);
});
