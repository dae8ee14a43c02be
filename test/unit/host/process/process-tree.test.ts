import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { createInterface } from 'node:readline/promises';
import { test, type TestContext } from 'node:test';
import { killTree } from '../../../../src/host/process/process-tree.js';
import { kill, processExists, processStartTime } from '../../../../src/host/process/processes.js';
import { until } from '../../../../tools/stack/wait.js';

const WITHIN_MS = 30_000;
const SIGKILL = 9;

/** Runs a shell in a new session. Returns it with the pids that it prints. */
async function shell(t: TestContext, script: string) {
  const child = spawn('sh', ['-c', `${script}; echo; wait`], { detached: true, stdio: ['ignore', 'pipe', 'inherit'] });
  const pids: number[] = [];
  for await (const line of createInterface(child.stdout)) {
    if (line === '') break;
    pids.push(Number(line));
  }
  t.after(() => {
    for (const pid of [child.pid!, ...pids].filter(isAlive)) kill(pid, SIGKILL);
  });
  await until('all run sleep', WITHIN_MS, () => pids.every((pid) => statOf(pid).includes('(sleep)')) || undefined);
  return { child, pids };
}

const identity = async (pid: number) => ({ pid, startTime: await processStartTime(pid) });
const statOf = (pid: number): string => readFileSync(`/proc/${pid}/stat`, 'utf8');
/** Returns false for a zombie that was not waited for. */
const isAlive = (pid: number): boolean => processExists(pid) && !/\) Z /.test(statOf(pid));

test('to find what belongs to a process takes no buffer for each process of the node', async (t) => {
  const { child } = await shell(t, 'for i in $(seq 40); do sleep 1000 & done; echo $!');
  const before = process.memoryUsage().arrayBuffers;
  await killTree(await identity(child.pid!));
  const taken = process.memoryUsage().arrayBuffers - before;
  assert.ok(taken < 512 * 1024, `${taken} bytes`);
});

test('a process is killed with its session and its descendants; a process that has left both is not', async (t) => {
  const { child, pids } = await shell(
    t,
    'sleep 1000 & echo $!; setsid sleep 1000 & echo $!; (sleep 1000 & echo $!); (setsid sleep 1000 & echo $!)',
  );
  const ended = once(child, 'exit');
  await killTree(await identity(child.pid!));
  assert.deepEqual(await ended, [null, 'SIGKILL']);
  await until('three are gone', WITHIN_MS, () => pids.filter(isAlive).length === 1 || undefined);
  assert.deepEqual(pids.map(isAlive), [false, false, false, true]);
  await killTree(await identity(child.pid!));
});

test('a process that was given the pid of one that has ended is left alone', async (t) => {
  const { child } = await shell(t, 'sleep 1000 & echo $!');
  const { pid, startTime } = await identity(child.pid!);
  await killTree({ pid, startTime: startTime! - 1 });
  await killTree({ pid, startTime: undefined });
  assert.ok(isAlive(pid));
  await killTree({ pid, startTime });
  await until('it is gone', WITHIN_MS, () => !isAlive(pid) || undefined);
});
