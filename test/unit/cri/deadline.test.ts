import assert from 'node:assert/strict';
import { mkdtemp, rm } from 'node:fs/promises';
import { connect, type ClientHttp2Session, type IncomingHttpHeaders } from 'node:http2';
import { connect as connectSocket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { RuntimeServiceDefinition, StatusResponse, VersionResponse } from '../../../generated/runtime/v1/api.js';
import { createLogger } from '../../../src/base/log.js';
import { serve, type CriServer } from '../../../src/cri/server.js';
import { implement } from '../../../src/cri/service.js';
import type { Caller } from '../../../src/operation/operation.js';

/** A client's deadline, as `grpc-timeout` carries it, up to the longest: eight digits of hours. */

const DAY_MS = 24 * 3600_000;
const TOLERANCE_MS = 5_000;

let folder: string;
let server: CriServer;
let session: ClientHttp2Session;
let seenMs: number | undefined;

before(async () => {
  folder = await mkdtemp(join(tmpdir(), 'crid-deadline-'));
  const see = ({ deadlineMs }: Caller): void => {
    seenMs = deadlineMs === undefined ? undefined : deadlineMs - performance.now();
  };
  server = await serve({
    listen: `unix://${folder}/crid.sock`,
    socketGid: 0,
    services: [
      implement(RuntimeServiceDefinition, {
        version: (_request, caller) => {
          see(caller);
          return VersionResponse.fromPartial({ version: 'v1' });
        },
        status: async (_request, caller) => {
          see(caller);
          await new Promise((resolve) => setTimeout(resolve, 50));
          return StatusResponse.fromPartial({});
        },
      }),
    ],
    log: createLogger('error'),
  });
  session = connect('http://localhost', { createConnection: () => connectSocket(`${folder}/crid.sock`) });
});

after(async () => {
  session.close();
  await server.stop(100);
  await rm(folder, { recursive: true });
});

/** Returns the gRPC status of one call with these headers. */
function call(method: string, headers: Record<string, string>): Promise<string> {
  seenMs = undefined;
  return new Promise((resolve, reject) => {
    const stream = session.request({
      ':method': 'POST',
      ':path': `/runtime.v1.RuntimeService/${method}`,
      'content-type': 'application/grpc',
      te: 'trailers',
      ...headers,
    });
    const read = (found: IncomingHttpHeaders): void => {
      const status = found['grpc-status'];
      if (typeof status === 'string') resolve(status);
    };
    stream.on('response', read).on('trailers', read).on('error', reject).resume();
    stream.end(Buffer.alloc(5));
  });
}

const far: readonly (readonly [string, number])[] = [
  ['600H', 25 * DAY_MS],
  ['1000H', 1000 * 3600_000],
  ['1194H', 1194 * 3600_000],
  ['99999999H', 99999999 * 3600_000],
  ['35792M', 35792 * 60_000],
  ['99999999M', 99999999 * 60_000],
  ['2147484S', 2147484_000],
  ['99999999S', 99999999_000],
];
const near: readonly (readonly [string, number])[] = [
  ['596H', 596 * 3600_000],
  ['35791M', 35791 * 60_000],
  ['2147483S', 2147483_000],
  ['99999999m', 99999999],
  ['99999999u', 99999.999],
  ['10S', 10_000],
];

for (const method of ['Version', 'Status']) {
  for (const [timeout, ms] of [...far, ...near]) {
    test(`${method} with a timeout of ${timeout} is answered, and its handler sees the whole time`, async () => {
      assert.equal(await call(method, { 'grpc-timeout': timeout }), '0');
      assert.ok(seenMs !== undefined && Math.abs(seenMs - ms) < TOLERANCE_MS, `${seenMs} ms instead of ${ms} ms`);
    });
  }
}

test('a short deadline still ends a call', async () => {
  assert.equal(await call('Status', { 'grpc-timeout': '10m' }), '4');
  assert.equal(await call('Status', { 'grpc-timeout': '99999999n' }), '0');
  assert.equal(await call('Status', { 'grpc-timeout': '1000n' }), '4');
});

test('a call without a deadline has none, whatever the header of crid contains', async () => {
  assert.equal(await call('Version', { 'crid-deadline-ms': '5' }), '0');
  assert.equal(seenMs, undefined);
  assert.equal(await call('Version', { 'crid-deadline-ms': '5', 'grpc-timeout': '700H' }), '0');
  assert.ok(seenMs !== undefined && seenMs > 29 * DAY_MS);
});
