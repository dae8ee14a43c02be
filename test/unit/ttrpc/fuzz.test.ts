import assert from 'node:assert/strict';
import type { Socket } from 'node:net';
import { test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { PluginDefinition, RuntimeDefinition } from '../../../generated/nri/v1alpha1/api.js';
import { Request, Response } from '../../../generated/ttrpc/request.js';
import { CriError } from '../../../src/base/errors.js';
import { encodeFrames } from '../../../src/ttrpc/trunk-frame.js';
import { withLimit } from '../../../src/base/time.js';
import { createTrunk } from '../../../src/ttrpc/trunk.js';
import { createTtrpcClient } from '../../../src/ttrpc/ttrpc-client.js';
import { PeerError } from '../../../src/ttrpc/ttrpc-errors.js';
import { encodeMessage, MessageType } from '../../../src/ttrpc/ttrpc-message.js';
import { methodOf } from '../../../src/ttrpc/ttrpc-method.js';
import { serveTtrpc } from '../../../src/ttrpc/ttrpc-server.js';
import { randomOf, socketPair } from './peers.js';

const ROUNDS = 150;
/** The calls of a round have a far shorter limit. */
const HANG_MS = 30_000;
const SEED = Number(process.env['CRID_FUZZ_SEED'] ?? 1);

const CALLS = 3;

type Random = (limit: number) => number;

/** Returns a response to a call of the round, often one that the client understands. */
function response(random: Random): Buffer {
  const status = random(3) === 0 ? { code: random(20), message: 'x'.repeat(random(6_000)), details: [] } : undefined;
  const payload = random(4) === 0 ? Buffer.alloc(random(20_000), random(256)) : Buffer.alloc(0);
  const message = { stream: 1 + 2 * random(CALLS), type: MessageType.RESPONSE, flags: 0 };
  const data = Buffer.from(Response.encode({ status, payload }).finish());
  return Buffer.concat(encodeFrames(1, encodeMessage({ ...message, data })));
}

/** Returns valid messages of both directions. */
function valid(random: Random): Buffer {
  if (random(2) === 0) return response(random);
  const payload = Buffer.alloc(random(3) === 0 ? random(20_000) : random(20), random(256));
  const [service, method] = [RuntimeDefinition.fullName, 'UpdateContainers'];
  const data =
    random(2) === 0
      ? Request.encode({ service, method, payload, timeout_nano: BigInt(random(1_000_000)), metadata: [] }).finish()
      : Response.encode({ status: undefined, payload }).finish();
  const message = { stream: random(50), type: 1 + random(4), flags: random(8) === 0 ? random(256) : 0 };
  return Buffer.concat(encodeFrames(random(4), encodeMessage({ ...message, data: Buffer.from(data) })));
}

/** Returns random bytes, or valid messages with some bytes changed, removed or added. */
function hostile(random: Random): Buffer {
  if (random(8) === 0) return Buffer.from(Array.from({ length: random(64) }, () => random(256)));
  const bytes = Buffer.concat(Array.from({ length: 1 + random(4) }, () => valid(random)));
  for (let change = random(4); change > 0; change--) bytes[random(Math.min(bytes.length, 64))] = random(256);
  const cut = random(6) === 0 ? random(bytes.length) : bytes.length;
  return bytes.subarray(0, cut);
}

async function write(socket: Socket, bytes: Buffer, random: Random): Promise<void> {
  const at = random(bytes.length + 1);
  socket.write(bytes.subarray(0, at));
  if (random(2) === 0) await sleep(0);
  socket.write(bytes.subarray(at));
}

test(`random and mutated bytes fail calls, and nothing else (CRID_FUZZ_SEED=${SEED})`, async (t) => {
  const random = randomOf(SEED);
  const codes = new Map<string, number>();
  for (let round = 0; round < ROUNDS; round++) {
    const [near, far] = await socketPair(t);
    far.resume();
    const trunk = createTrunk(near);
    serveTtrpc(trunk, 2, RuntimeDefinition, {
      registerPlugin: async () => ({}),
      updateContainers: async ({ update }) => ({ failed: update }),
    });
    const client = createTtrpcClient(trunk, 1);
    trunk.read();
    const calls = Array.from({ length: CALLS }, () =>
      client.call(methodOf(PluginDefinition, 'shutdown'), {}, { timeoutMs: 50 }).then(
        () => 'OK',
        (thrown: unknown) => (thrown instanceof PeerError ? 'PeerError' : CriError.from(thrown).code),
      ),
    );
    for (let writes = 1 + random(5); writes > 0; writes--) await write(far, hostile(random), random);
    const hung = (): never => assert.fail(`round ${round}: a call has not ended`);
    const ends = await withLimit(Promise.all(calls), HANG_MS, hung);
    for (const code of ends) codes.set(code, (codes.get(code) ?? 0) + 1);
    far.destroy();
    near.destroy();
  }
  t.diagnostic(`${ROUNDS} connections: ${JSON.stringify(Object.fromEntries(codes))}`);
  // Both need a response that the client has decoded.
  assert.ok(codes.has('OK') && codes.has('PeerError'));
  // UNKNOWN is an error that crid has not thrown on purpose.
  const allowed = ['OK', 'PeerError', 'DEADLINE_EXCEEDED', 'UNAVAILABLE', 'RESOURCE_EXHAUSTED'];
  const surprising = [...codes.keys()].filter((code) => !allowed.includes(code));
  assert.deepEqual(surprising, []);
});
