import assert from 'node:assert/strict';
import { readdirSync, readFileSync } from 'node:fs';
import { test } from 'node:test';
import { startSuite } from '../rpc/suite.js';

const suite = startSuite({ withPod: true });

/** The nice value of each thread of a process, the first thread's first (proc_pid_stat(5), field 19). */
function niceValues(pid: number): number[] {
  const tids = readdirSync(`/proc/${pid}/task`).map(Number);
  return tids
    .sort((a, b) => a - b)
    .map((tid) => {
      const stat = readFileSync(`/proc/${pid}/task/${tid}/stat`, 'utf8');
      return Number(stat.slice(stat.lastIndexOf(')') + 2).split(' ')[16]);
    });
}

test('the threads that copy logs and streams make way for the one that answers calls', async () => {
  await suite.pod.run();
  const [server = 0, ...others] = niceValues(suite.crid.pid());
  assert.deepEqual(
    others.filter((nice) => nice !== server),
    [server + 5, server + 5],
  );
});
