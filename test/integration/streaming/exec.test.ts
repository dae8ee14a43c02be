import assert from 'node:assert/strict';
import { createHash, randomBytes } from 'node:crypto';
import { readdirSync } from 'node:fs';
import { test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { processes } from '../../../tools/stack/leftovers.js';
import { until } from '../../../tools/stack/wait.js';
import { leaks } from '../../harness/leaks.js';
import { openCommandClient, TRANSPORTS, type CommandClient } from '../../harness/streaming/command-client.js';
import { openWebSocket } from '../../harness/streaming/websocket-client.js';
import { assertFails, startSuite, type BadRequest } from '../rpc/suite.js';
import { openCommand } from '../../harness/streaming/spdy-client.js';

const suite = startSuite({ withPod: true });
const V5 = 'v5.channel.k8s.io';
const MIB = 1024 * 1024;
const GONE_WITHIN_MS = 20_000;
/** The time for the shim to pass on the end of the output. If it is too short, the test passes more easily. */
const ENDS_SEEN_MS = 300;

let id = '';
const container = async (): Promise<string> => (id ||= await suite.pod.run());

async function execUrl(cmd: string[], more: { stdin?: boolean; tty?: boolean } = {}): Promise<string> {
  const { stdin = false, tty = false } = more;
  const request = { container_id: await container(), cmd, stdin, stdout: true, stderr: !tty, tty };
  return (await suite.crid.runtime.exec(request)).url;
}

const digest = (bytes: Buffer): string => createHash('sha256').update(bytes).digest('hex');

const running = async (word: string) => (await processes()).find(({ args }) => args.includes(word));

const gone = (word: string): Promise<true> =>
  until(`no process ${word}`, GONE_WITHIN_MS, async () => ((await running(word)) ? undefined : true));

/** Returns crid's number of descriptors and the FIFOs in containerd's state folder, on an idle server. */
async function settled(): Promise<{ fds: number; fifos: readonly string[] }> {
  const fds = readdirSync(`/proc/${suite.crid.pid()}/fd`).length;
  return { fds, fifos: (await leaks(suite.stack)).fifo };
}

test('output, error output and exit code, over both protocols', async () => {
  const script = ['sh', '-c', 'printf "out \\377"; printf err >&2; exit 42'];
  const socket = await openWebSocket(await execUrl(script), [V5]);
  assert.equal(await socket.closed, 1000);
  const spdy = await openCommand(await execUrl(script), false);
  const expected = ['out \xff', 'err', '42'];
  const code = (status: Buffer): string =>
    (JSON.parse(status.toString()) as { details: { causes: { message: string }[] } }).details.causes[0]?.message ?? '';
  assert.deepEqual(
    [socket.received(1).toString('latin1'), socket.received(2).toString(), code(socket.received(3))],
    expected,
  );
  const [stdout, stderr, error] = await Promise.all([spdy.stdout.all, spdy.stderr.all, spdy.error.all]);
  assert.deepEqual([stdout.toString('latin1'), stderr.toString(), code(error)], expected);
});

test('every version of both protocols reports the exit code in its own form', async () => {
  const script = ['sh', '-c', 'echo out; exit 42'];
  const said = (version: number): RegExp =>
    version < 4 ? /^command terminated with non-zero exit code: exit code 42$/ : /"reason":"ExitCode","message":"42"/;
  for (const version of [1, 2, 3, 4, 5]) {
    const prefix = version === 1 ? '' : `v${version}.`;
    for (const name of [`${prefix}channel.k8s.io`, `${prefix}base64.channel.k8s.io`]) {
      const socket = await openWebSocket(await execUrl(script), [name]);
      assert.deepEqual([await socket.closed, socket.protocol, socket.received(1).toString()], [1000, name, 'out\n']);
      assert.match(socket.received(3).toString(), said(version), name);
    }
    if (version === 5) continue;
    const { stdout, error } = await openCommand(await execUrl(script), false, `${prefix}channel.k8s.io`);
    assert.equal((await stdout.all).toString(), 'out\n');
    assert.match((await error.all).toString(), said(version), `SPDY, version ${version}`);
  }
});

test('input comes back as output, and the end of the input is seen', async () => {
  const bytes = randomBytes(8 * MIB);
  const socket = await openWebSocket(await execUrl(['cat'], { stdin: true }), [V5]);
  for (let at = 0; at < bytes.length; at += 32_768) socket.send(0, bytes.subarray(at, at + 32_768));
  socket.end(0);
  assert.equal(await socket.closed, 1000);
  const { stdin, stdout, error } = await openCommand(await execUrl(['cat'], { stdin: true }), true);
  for (let at = 0; at < bytes.length; at += 32_768) stdin?.write(bytes.subarray(at, at + 32_768));
  stdin?.end();
  const received = await stdout.all;
  assert.deepEqual(
    [digest(socket.received(1)), digest(received), (await error.all).toString()],
    [digest(bytes), digest(bytes), '{"metadata":{},"status":"Success"}'],
  );
});

test('a command that closes its outputs gets all of its input', async () => {
  const script = ['sh', '-c', 'exec >/dev/null 2>&1; touch /tmp/closed; wc -c >/tmp/received'];
  const half = Buffer.alloc(4 * MIB);
  for (const transport of TRANSPORTS) {
    const client = await openCommandClient(await execUrl(script, { stdin: true }), { transport, stdin: true });
    await client.write(half);
    await suite.pod.exec(id, ['sh', '-c', 'while ! rm /tmp/closed 2>/dev/null; do sleep 0.05; done']);
    await sleep(ENDS_SEEN_MS);
    await client.write(half);
    client.endInput();
    assert.match(await client.outcome, /"Success"/);
    const { stdout } = await suite.pod.exec(id, ['cat', '/tmp/received']);
    assert.equal(Number(stdout), 2 * half.length, transport);
  }
});

test('a terminal has one output, and the size that the client gives it', async () => {
  const url = await execUrl(['sh', '-c', 'read line; stty size; echo "$line" >&2'], { stdin: true, tty: true });
  const socket = await openWebSocket(url, [V5]);
  socket.send(4, '{"Width":132,"Height":43}');
  const size = await execUrl(['sh', '-c', 'while [ "$(stty size)" != "43 132" ]; do sleep 0.05; done; echo sized'], {
    stdin: true,
    tty: true,
  });
  const sized = await openWebSocket(size, [V5]);
  sized.send(4, '{"Width":132,"Height":43}');
  await sized.until(1, (bytes) => bytes.includes('sized'));
  socket.send(0, 'typed\n');
  assert.equal(await socket.closed, 1000);
  assert.match(socket.received(1).toString(), /^typed\r\n\d+ \d+\r\ntyped\r\n$/);
  assert.equal(socket.received(2).length, 0);
});

test('a client that leaves ends its command', async () => {
  const socket = await openWebSocket(await execUrl(['sh', '-c', 'sleep 8301 & echo up; sleep 8302'], { stdin: true }), [
    V5,
  ]);
  await socket.until(1, (bytes) => bytes.length > 0);
  socket.socket.destroy();
  for (const word of ['8301', '8302']) await gone(word);
});

/** Sends more than the input's pipe and all buffers on the way can hold while the command does not read. */
async function sendUnread(client: CommandClient): Promise<void> {
  for (let sent = 0; sent < 64; sent += 1) void client.write(Buffer.alloc(65_536));
  await sleep(ENDS_SEEN_MS);
}

test('a command that ignores its input keeps its exit code, and ends with its client', async () => {
  for (const transport of TRANSPORTS) {
    const script = ['sh', '-c', 'while ! rm /tmp/enough 2>/dev/null; do sleep 0.05; done; echo done; exit 42'];
    let output = '';
    const onOutput = (_stream: string, bytes: Buffer): void => void (output += bytes.toString());
    const options = { transport, stdin: true, onOutput };
    const ending = await openCommandClient(await execUrl(script, { stdin: true }), options);
    await sendUnread(ending);
    await suite.pod.exec(id, ['touch', '/tmp/enough']);
    assert.match(await ending.outcome, /"reason":"ExitCode","message":"42"/, transport);
    assert.equal(output, 'done\n', transport);

    const staying = await openCommandClient(await execUrl(['sleep', '8304'], { stdin: true }), options);
    await sendUnread(staying);
    assert.ok(await running('8304'), 'it runs until then');
    staying.socket.destroy();
    await gone('8304');
  }
});

test('a client that stopped reading ends its command when it leaves', async () => {
  const stalled = await openWebSocket(await execUrl(['sh', '-c', 'cat /dev/zero | head -c 1000000000; sleep 8303']), [
    V5,
  ]);
  await stalled.until(1, (bytes) => bytes.length > 0);
  stalled.socket.pause();
  await new Promise((resolve) => setTimeout(resolve, 300));
  stalled.socket.destroy();
  await gone('8303');
});

test('a child that keeps the streams open does not delay the client', async () => {
  const socket = await openWebSocket(await execUrl(['sh', '-c', 'sleep 7331 & echo out']), [V5]);
  assert.equal(await socket.closed, 1000);
  assert.equal(socket.received(1).toString(), 'out\n');
  assert.match(socket.received(3).toString(), /"Success"/);
  const child = await running('7331');
  assert.ok(child, 'it lives on');
  process.kill(child.pid, 'SIGKILL');
  await gone('7331');
});

test('fifty at once, some of them cut off, leave nothing behind', async () => {
  await container();
  await suite.pod.exec(id, ['true']);
  const one = await openWebSocket(await execUrl(['true']), [V5]);
  await one.closed;
  const before = await until('a quiet start', GONE_WITHIN_MS, async () => {
    const now = await settled();
    return now.fifos.every((path) => !path.includes('stdin')) ? now : undefined;
  });
  const bytes = randomBytes(MIB);
  await Promise.all(
    Array.from({ length: 50 }, async (_, index) => {
      const socket = await openWebSocket(await execUrl(['cat'], { stdin: true }), [V5]);
      socket.send(0, bytes);
      if (index % 3 === 0) {
        await new Promise((resolve) => setTimeout(resolve, index * 3));
        socket.socket.destroy();
        return;
      }
      socket.end(0);
      await socket.closed;
      const [outcome, error] = [socket.received(3).toString(), socket.received(2).toString()];
      assert.equal(
        digest(socket.received(1)),
        digest(bytes),
        `${socket.received(1).length} bytes, ${error} ${outcome}`,
      );
    }),
  );
  await until('as before', GONE_WITHIN_MS, async () => {
    const now = await settled();
    return now.fds <= before.fds && now.fifos.length <= before.fifos.length ? true : undefined;
  });
});

test('CVE-2022-23471: a terminal exec that fails to start leaves nothing behind', async () => {
  await container();
  const before = await settled();
  for (let count = 0; count < 20; count += 1) {
    const socket = await openWebSocket(await execUrl(['/no/such/command'], { stdin: true, tty: true }), [V5]);
    socket.send(4, '{"Width":80,"Height":24}');
    await socket.closed;
    assert.match(socket.received(3).toString(), /"status":"Failure".*\/no\/such\/command/);
  }
  await until('as before', GONE_WITHIN_MS, async () => {
    const now = await settled();
    return now.fds <= before.fds && now.fifos.length <= before.fifos.length ? true : undefined;
  });
});

test('errors of bad requests name the problem', async (t) => {
  const created = await suite.pod.create();
  const good = { container_id: await container(), cmd: ['true'], stdout: true };
  const of = (request: object) => (): Promise<unknown> => suite.crid.runtime.exec({ ...good, ...request });
  const requests: BadRequest[] = [
    ['unknown container', of({ container_id: 'f'.repeat(64) }), 'NOT_FOUND', 'f'.repeat(64)],
    ['no command', of({ cmd: [] }), 'INVALID_ARGUMENT', 'cmd'],
    ['no stream', of({ stdout: false }), 'INVALID_ARGUMENT', 'stdin'],
    ['a terminal with stderr', of({ tty: true, stderr: true }), 'INVALID_ARGUMENT', 'stderr'],
    ['container that does not run', of({ container_id: created }), 'FAILED_PRECONDITION', created],
  ];
  for (const [name, call, ...expected] of requests) await t.test(name, () => assertFails(call(), ...expected));
  await suite.crid.runtime.removeContainer({ container_id: created });
});
