import assert from 'node:assert/strict';
import { once } from 'node:events';
import { connect, createServer, type AddressInfo, type Socket } from 'node:net';
import { test, type TestContext } from 'node:test';
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { until } from '../../../tools/stack/wait.js';
import { createLink, type Link } from '../../../src/streaming/link.js';
import { createPace } from '../../../src/streaming/pace.js';

setFlagsFromString('--expose-gc');
const collect = runInNewContext('gc') as () => void;
const LIMIT_MS = 5_000;

async function connected(t: TestContext): Promise<{ client: Socket; socket: Socket }> {
  const server = createServer().listen(0, '127.0.0.1');
  t.after(() => server.close());
  await once(server, 'listening');
  const client = connect((server.address() as AddressInfo).port, '127.0.0.1');
  t.after(() => client.destroy());
  const [socket] = (await once(server, 'connection')) as [Socket];
  return { client, socket };
}

/** Has a test do what it likes with a link and its client; answers why the link has closed. */
async function closed(t: TestContext, act: (link: Link, client: Socket) => void) {
  const { client, socket } = await connected(t);
  const reason = await new Promise<string>((onClosed) => {
    const events = { onBytes: () => undefined, onClosed, probe: () => undefined };
    act(createLink(socket, { idleTimeoutMs: 0, pace: createPace(Int32Array.of(0)) }, events), client);
  });
  return { reason, socket: new WeakRef(socket) };
}

test('a link closes when its limit is over, and says why; not when it was kept', async (t) => {
  const { reason } = await closed(t, (link) => {
    link.destroyAfter(10, () => 'kept')();
    link.destroyAfter(50, () => 'too late');
  });
  assert.equal(reason, 'too late');
});

test('a link that has closed is held by none of its limits', async (t) => {
  const { socket } = await closed(t, (link, client) => {
    link.destroyAfter(60_000, () => 'too late');
    link.end();
    client.resetAndDestroy();
  });
  await until('it is collected', LIMIT_MS, () => {
    collect();
    return socket.deref() === undefined ? true : undefined;
  });
});
