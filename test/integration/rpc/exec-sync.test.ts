import assert from 'node:assert/strict';
import { test } from 'node:test';
import { until } from '../../../tools/stack/wait.js';
import { RuntimeServiceDefinition } from '../../../generated/runtime/v1/api.js';
import { processes } from '../../../tools/stack/leftovers.js';
import { callWithin } from './deadline.js';
import { assertFails, startSuite, type BadRequest } from './suite.js';

const suite = startSuite({ withPod: true });
const UNKNOWN = 'f'.repeat(64);
const GONE_WITHIN_MS = 20_000;

let id = '';
const container = async (): Promise<string> => (id ||= await suite.pod.run());

const exec = async (
  cmd: string[],
  timeout = 20n,
): Promise<{ stdout: Uint8Array; stderr: Uint8Array; exit_code: number }> =>
  suite.crid.runtime.execSync({ container_id: await container(), cmd, timeout });
const shell = (script: string, timeout?: bigint) => exec(['sh', '-c', script], timeout);

/** Waits until no process of the host has this word in its arguments. */
const gone = (word: string): Promise<true> =>
  until(`no process ${word}`, GONE_WITHIN_MS, async () =>
    (await processes()).some(({ args }) => args.includes(word)) ? undefined : true,
  );

test('exit code, stdout and stderr are exact', async () => {
  const { stdout, stderr, exit_code: code } = await shell('printf "a\\0b"; printf "\\377err" >&2; exit 42');
  assert.deepEqual(
    { stdout: Buffer.from(stdout).toString('hex'), stderr: Buffer.from(stderr).toString('hex'), code },
    { stdout: '610062', stderr: 'ff657272', code: 42 },
  );
});

test('the command has the environment, directory and user of its container', async () => {
  const other = await suite.pod.run({
    envs: [{ key: 'NAME', value: Buffer.from('value') }],
    working_dir: '/tmp',
    linux: { security_context: { run_as_user: { value: 33n } } },
  });
  const { stdout } = await suite.pod.exec(other, ['sh', '-c', 'echo $NAME $(pwd) $(id -u)']);
  assert.equal(stdout, 'value /tmp 33\n');
  await suite.crid.runtime.removeContainer({ container_id: other });
});

test('errors of bad requests name the problem', async (t) => {
  const { runtime } = suite.crid;
  const created = await suite.pod.create();
  const of = (request: object) => (): Promise<unknown> =>
    runtime.execSync({ container_id: id, cmd: ['true'], timeout: 5n, ...request });
  await container();
  const requests: BadRequest[] = [
    ['unknown container', of({ container_id: UNKNOWN }), 'NOT_FOUND', UNKNOWN],
    ['no container', of({ container_id: '' }), 'INVALID_ARGUMENT', 'container_id'],
    ['no command', of({ cmd: [] }), 'INVALID_ARGUMENT', 'cmd'],
    ['time-out below zero', of({ timeout: -1n }), 'INVALID_ARGUMENT', 'timeout', '-1'],
    ['container that does not run', of({ container_id: created }), 'FAILED_PRECONDITION', created, 'created'],
    ['command that does not exist', of({ cmd: ['/no/such/command'] }), 'INVALID_ARGUMENT', 'cmd', '/no/such/command'],
    ['command that is no program', of({ cmd: ['/etc/passwd'] }), 'INVALID_ARGUMENT', 'cmd', '/etc/passwd'],
  ];
  for (const [name, call, ...expected] of requests) await t.test(name, () => assertFails(call(), ...expected));
  await runtime.removeContainer({ container_id: created });
});

test('the timeout kills the command and its children', async () => {
  const script = 'sleep 7301 & (sleep 7302 & sleep 7303) & sleep 7304';
  await assertFails(shell(script, 1n), 'DEADLINE_EXCEEDED', '1 s');
  for (const word of ['7301', '7302', '7303', '7304']) await gone(word);
});

test("the caller's deadline ends it too", async () => {
  const request = { container_id: await container(), cmd: ['sleep', '7311'], timeout: 0n };
  const method = RuntimeServiceDefinition.methods.execSync;
  const { code, message } = await callWithin(suite.crid.socket, method, request, 1_000);
  assert.equal(code, 'DEADLINE_EXCEEDED', message);
  await gone('7311');
});

test('a child in the background does not delay the call', async () => {
  const { stdout, exit_code: code } = await shell('sleep 7321 & echo done; exit 3', 60n);
  assert.deepEqual([Buffer.from(stdout).toString(), code], ['done\n', 3]);
  const child = (await processes()).find(({ args }) => args.includes('7321'));
  assert.ok(child, 'it lives on');
  process.kill(child.pid, 'SIGKILL');
  await gone('7321');
});

test('several at once do not mix', async () => {
  const answers = await Promise.all(
    Array.from({ length: 8 }, (_, index) => shell(`echo ${index}; echo err${index} >&2; exit ${index}`)),
  );
  assert.deepEqual(
    answers.map(({ stdout, stderr, exit_code: code }) => [String(stdout), String(stderr), code]),
    Array.from({ length: 8 }, (_, index) => [`${index}\n`, `err${index}\n`, index]),
  );
});

test('a container that ends in the middle ends its execs', async () => {
  const other = await suite.pod.run();
  const call = suite.crid.runtime.execSync({ container_id: other, cmd: ['sleep', '7331'], timeout: 60n });
  await until('the command runs', GONE_WITHIN_MS, async () =>
    (await processes()).some(({ args }) => args.includes('7331')) ? true : undefined,
  );
  await suite.crid.runtime.stopContainer({ container_id: other, timeout: 0n });
  assert.equal((await call).exit_code, 137);
  await suite.crid.runtime.removeContainer({ container_id: other });
});
