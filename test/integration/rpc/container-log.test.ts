import assert from 'node:assert/strict';
import { existsSync } from 'node:fs';
import { readFile, rename, stat } from 'node:fs/promises';
import { test } from 'node:test';
import { until } from '../../../tools/stack/wait.js';
import { ContainerState } from '../../../generated/runtime/v1/api.js';
import { assertFails, startSuite } from './suite.js';

const suite = startSuite({ withPod: true });
const WAIT_LIMIT_MS = 20_000;
const UNKNOWN = 'f'.repeat(64);
/** An RFC 3339 time with up to nine decimals, the stream, F for a full line or P for a partial one, the text. */
const LINE = /^(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d{1,9})?(?:Z|[+-]\d\d:\d\d)) (stdout|stderr) ([FP]) (.*)$/s;

const ended = (id: string): Promise<unknown> =>
  until(`${id} ends`, WAIT_LIMIT_MS, async () => {
    const { status } = await suite.crid.runtime.containerStatus({ container_id: id });
    return status?.state === ContainerState.CONTAINER_EXITED || undefined;
  });

const reopen = (id: string): Promise<unknown> => suite.crid.runtime.reopenContainerLog({ container_id: id });
const remove = (id: string): Promise<unknown> => suite.crid.runtime.removeContainer({ container_id: id });

/** Returns `stream tag text` for each line of a log. */
async function read(path: string): Promise<string[]> {
  const text = await readFile(path, 'utf8');
  assert.ok(text === '' || text.endsWith('\n'), 'the log ends with a line feed');
  return text
    .split('\n')
    .slice(0, -1)
    .map((line) => {
      const match = LINE.exec(line);
      assert.ok(match, line.slice(0, 100));
      return match.slice(2).join(' ');
    });
}

async function logOf(name: string, script: string, tty = false): Promise<string[]> {
  const id = await suite.pod.run({ name, command: ['sh', '-c', script], tty });
  await ended(id);
  const lines = await read(suite.pod.logPath(name));
  await remove(id);
  return lines;
}

test('the log of a container: streams, whole lines and a last part', async () => {
  const lines = await logOf(
    'format',
    'echo one; echo; echo " two  "; sleep 0.2; echo three >&2; sleep 0.2; printf end',
  );
  assert.deepEqual(lines, ['stdout F one', 'stdout F ', 'stdout F  two  ', 'stderr F three', 'stdout P end']);
});

test('a long line comes in parts of 16 KiB', async () => {
  const lines = await logOf('long', "head -c 40000 /dev/zero | tr '\\0' x; echo");
  assert.deepEqual(
    lines.map((line) => [line.slice(0, 'stdout P'.length), line.length - 'stdout P '.length]),
    [
      ['stdout P', 16_384],
      ['stdout P', 16_384],
      ['stdout F', 40_000 - 2 * 16_384],
    ],
  );
});

test('no line of many is lost', async () => {
  const lines = await logOf('many', 'seq 1 50000');
  assert.deepEqual(
    lines,
    Array.from({ length: 50_000 }, (_, index) => `stdout F ${index + 1}`),
  );
});

// The runtime turns the terminal's ONLCR off, so there is no carriage return.
test("a terminal's output is all stdout", async () => {
  const lines = await logOf('terminal', 'tty >/dev/null && echo out; echo err >&2', true);
  assert.deepEqual(lines, ['stdout F out', 'stdout F err']);
});

test('no log path, no log; the directory of a log is created', async () => {
  const id = await suite.pod.run({ log_path: 'made/below/0.log', command: ['echo', 'deep'] });
  await ended(id);
  assert.deepEqual(await read(`${suite.pod.config.log_directory}/made/below/0.log`), ['stdout F deep']);
  await remove(id);
});

test('ReopenContainerLog: a renamed log stays as it is, later lines go to a new file', async () => {
  const name = 'rotated';
  const path = suite.pod.logPath(name);
  const script = 'i=0; while :; do i=$((i+1)); echo $i; sleep 0.02; done';
  const id = await suite.pod.run({ name, command: ['sh', '-c', script] });
  await until('the first lines', WAIT_LIMIT_MS, async () => (await read(path)).length > 3 || undefined);
  await rename(path, `${path}.1`);
  await reopen(id);
  const { size } = await stat(`${path}.1`);
  await until('lines in the new file', WAIT_LIMIT_MS, async () => (await read(path)).length > 3 || undefined);
  await suite.crid.runtime.stopContainer({ container_id: id, timeout: 0n });
  assert.equal((await stat(`${path}.1`)).size, size);
  const both = [...(await read(`${path}.1`)), ...(await read(path))];
  assert.deepEqual(
    both,
    both.map((_, index) => `stdout F ${index + 1}`),
  );
  await assertFails(reopen(id), 'FAILED_PRECONDITION', id, 'exited');
  await remove(id);
  assert.ok(existsSync(path));
});

test('ReopenContainerLog: bad requests', async () => {
  await assertFails(reopen(UNKNOWN), 'NOT_FOUND', UNKNOWN);
  await assertFails(reopen(''), 'INVALID_ARGUMENT', 'container_id');
  const id = await suite.pod.create();
  await assertFails(reopen(id), 'FAILED_PRECONDITION', id, 'created');
  await remove(id);
});
