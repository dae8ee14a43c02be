import assert from 'node:assert/strict';
import { mkdtemp, rm } from 'node:fs/promises';
import { connect, constants, createServer, type ServerHttp2Stream } from 'node:http2';
import { connect as connectSocket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test, type TestContext } from 'node:test';
import { CriError } from '../../../src/base/errors.js';
import { createAnswer, type Answer } from '../../../src/cri/answer.js';

/** Calls a server that runs `serve`; resolves when its stream is closed. */
async function called(
  t: TestContext,
  { resets }: { readonly resets: boolean },
  serve: (stream: ServerHttp2Stream) => void,
): Promise<void> {
  const folder = await mkdtemp(join(tmpdir(), 'crid-answer-'));
  const path = join(folder, 'socket');
  const server = createServer();
  const done = new Promise<void>((resolve) => {
    server.on('stream', (stream) => {
      stream.on('error', () => undefined);
      stream.once('close', resolve);
      serve(stream);
    });
  });
  await new Promise<void>((resolve) => server.listen(path, resolve));
  const session = connect('http://localhost', { createConnection: () => connectSocket(path) });
  t.after(async () => {
    session.destroy();
    server.close();
    await rm(folder, { recursive: true });
  });
  const call = session.request({ ':method': 'POST', ':path': '/a.B/C' });
  call.on('error', () => undefined);
  if (resets) call.once('ready', () => call.close(constants.NGHTTP2_CANCEL));
  await done;
}

const ANSWERS: Readonly<Record<string, (answer: Answer) => unknown>> = {
  finish: (answer) => answer.finish(Buffer.from('x')),
  send: (answer) => answer.send(Buffer.from('x')),
  end: (answer) => answer.end(),
  fail: (answer) => answer.fail(new CriError('NOT_FOUND', 'gone')),
  cutOff: (answer) => answer.cutOff(new CriError('DEADLINE_EXCEEDED', 'late')),
};

for (const [name, work] of Object.entries(ANSWERS)) {
  test(`${name} does nothing when the client has just reset the call, and the signal aborts`, async (t) => {
    let aborted = false;
    let result: unknown = 'not reached';
    await called(t, { resets: true }, (stream) => {
      const answer = createAnswer(stream);
      answer.signal.addEventListener('abort', () => (aborted = true));
      // The stream has its reset, and its event `close` follows.
      stream.once('aborted', () => {
        assert.equal(stream.closed, true);
        try {
          result = work(answer);
        } catch (thrown) {
          result = thrown;
        }
      });
      stream.resume();
    });
    assert.equal(await result, undefined);
    assert.equal(aborted, true);
  });
}

test('send waits for a client that does not read, until the deadline of the call', async (t) => {
  let sent: Promise<void> | undefined;
  await called(t, { resets: false }, (stream) => {
    const answer = createAnswer(stream);
    sent = answer.send(Buffer.alloc(1 << 20));
    answer.cutOff(new CriError('DEADLINE_EXCEEDED', 'late'));
    void sent.then(() => stream.destroy());
  });
  await sent;
});
