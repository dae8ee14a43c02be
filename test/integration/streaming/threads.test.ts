import assert from 'node:assert/strict';
import { createHash, randomBytes } from 'node:crypto';
import { readdirSync, readFileSync } from 'node:fs';
import { test } from 'node:test';
import { openCommandClient, TRANSPORTS } from '../../harness/streaming/command-client.js';
import { startSuite } from '../rpc/suite.js';

const suite = startSuite({ withPod: true });
const MIB = 1024 * 1024;
const CHUNKS = 16;

/** Returns the nice value of each thread of a process, in the order of thread ids (proc_pid_stat(5), field 19). */
function niceValues(pid: number): number[] {
  const tids = readdirSync(`/proc/${pid}/task`).map(Number);
  return tids
    .sort((a, b) => a - b)
    .map((tid) => {
      const stat = readFileSync(`/proc/${pid}/task/${tid}/stat`, 'utf8');
      return Number(stat.slice(stat.lastIndexOf(')') + 2).split(' ')[16]);
    });
}

test('the threads that copy logs and streams give way to the thread that serves calls', async () => {
  await suite.pod.run();
  const [server = 0, ...others] = niceValues(suite.crid.pid());
  assert.deepEqual(
    others.filter((nice) => nice !== server),
    [server + 5, server + 5],
  );
});

for (const transport of TRANSPORTS) {
  test(`streams that give way to calls lose nothing, ${transport}`, async () => {
    const { runtime } = suite.crid;
    const container_id = await suite.pod.run();
    const request = { container_id, cmd: ['cat'], stdin: true, stdout: true, stderr: true, tty: false };
    const [sent, received] = [createHash('sha256'), createHash('sha256')];
    let bytes = 0;
    const client = await openCommandClient((await runtime.exec(request)).url, {
      transport,
      stdin: true,
      onOutput: (_, chunk) => {
        bytes += chunk.length;
        received.update(chunk);
      },
    });
    let calling = true;
    const calls = (async () => {
      while (calling) await runtime.version({});
    })();
    for (let chunk = 0; chunk < CHUNKS; chunk++) {
      const piece = randomBytes(MIB);
      sent.update(piece);
      await client.write(piece);
    }
    client.endInput();
    const outcome = await client.outcome;
    calling = false;
    await calls;
    assert.deepEqual([bytes, received.digest('hex')], [CHUNKS * MIB, sent.digest('hex')]);
    assert.match(outcome, /"status":"Success"/);
    await runtime.removeContainer({ container_id });
  });
}
