import assert from 'node:assert/strict';
import { readFile } from 'node:fs/promises';
import { test } from 'node:test';
import { until } from '../../../tools/stack/wait.js';
import { ContainerState } from '../../../generated/runtime/v1/api.js';
import { openCommandClient, TRANSPORTS } from '../../harness/streaming/command-client.js';
import { startSuite } from '../rpc/suite.js';

/** The last output of a container must reach its log, even if an attached client does not read. */

const suite = startSuite({ withPod: true });
const WAIT_LIMIT_MS = 60_000;
const LAST = 800_000;
/**
 * Waits for a line, which shows that a client is attached. The output fills the buffers to a client over SPDY, and a
 * part of the FIFO.
 */
const SCRIPT = `read line; seq ${LAST}`;

/**
 * Runs a container that writes once a client is attached, and attaches a client that does not read. Returns both with
 * the log.
 */
async function held(script: string, index: number) {
  const { crid, pod } = suite;
  const id = await pod.run({ name: `held-${index}-${Date.now()}`, command: ['sh', '-c', script], stdin: true });
  const { url } = await crid.runtime.attach({ container_id: id, stdin: true, stdout: true, stderr: true });
  const client = await openCommandClient(url, { transport: TRANSPORTS[index]!, stdin: true });
  client.socket.pause();
  await client.write('go\n');
  const { status } = await crid.runtime.containerStatus({ container_id: id });
  return { id, client, log: status?.log_path ?? '' };
}

const lastLine = async (log: string): Promise<string | undefined> =>
  (await readFile(log, 'latin1')).trimEnd().split('\n').at(-1)?.split(' ').at(-1);

for (const [index, transport] of TRANSPORTS.entries()) {
  test(`a container that ends, a client attached over ${transport} that does not read`, async () => {
    const { runtime } = suite.crid;
    const { id, client, log } = await held(SCRIPT, index);
    await until('it has ended', WAIT_LIMIT_MS, async () => {
      const { status } = await runtime.containerStatus({ container_id: id });
      return status?.state === ContainerState.CONTAINER_EXITED || undefined;
    });
    await runtime.removeContainer({ container_id: id });
    assert.equal(await lastLine(log), String(LAST));
    client.socket.destroy();
  });
}

test('a running container that is removed, with all its output written', async () => {
  const { runtime } = suite.crid;
  // The output fits into the pipes, so that only the server has not read it yet.
  const lines = 120_000;
  const { id, client, log } = await held(`read line; seq ${lines}; sleep 1000`, 0);
  const { exit_code: written } = await runtime.execSync({
    container_id: id,
    cmd: ['sh', '-c', 'until [ -n "$(pgrep -f "^sleep 1000")" ]; do sleep 0.05; done'],
    timeout: 30n,
  });
  assert.equal(written, 0);
  await runtime.removeContainer({ container_id: id });
  assert.equal(await lastLine(log), String(lines));
  client.socket.destroy();
});
