import { credentials, Client, type ServiceError } from '@grpc/grpc-js';
import assert from 'node:assert/strict';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { RuntimeServiceDefinition } from '../../../generated/runtime/v1/api.js';
import { CriError } from '../../../src/base/errors.js';
import { createLogger } from '../../../src/base/log.js';
import { MAX_MESSAGE_BYTES } from '../../../src/base/shortened.js';
import { serve } from '../../../src/cri/server.js';
import { implement } from '../../../src/cri/service.js';

test('the message of an error is sent whole up to its limit, also if each byte takes three in a header; beyond it is truncated', async (t) => {
  const folder = await mkdtemp(join(tmpdir(), 'crid-errors-'));
  const message = { text: '' };
  const version = (): never => {
    throw new CriError('UNKNOWN', message.text);
  };
  const server = await serve({
    listen: join(folder, 'crid.sock'),
    socketGid: 0,
    services: [implement(RuntimeServiceDefinition, { version })],
    log: createLogger('error'),
  });
  const client = new Client(`unix:${server.path}`, credentials.createInsecure());
  t.after(async () => {
    client.close();
    await server.stop(1000);
    await rm(folder, { recursive: true });
  });
  const bytes = (): Buffer => Buffer.alloc(0);
  const received = (text: string): Promise<string> => {
    message.text = text;
    return new Promise((resolve) => {
      const path = '/runtime.v1.RuntimeService/Version';
      client.makeUnaryRequest(path, bytes, bytes, undefined, (error: ServiceError | null) =>
        resolve(error?.details ?? ''),
      );
    });
  };
  const full = 'ä'.repeat(MAX_MESSAGE_BYTES / 2);
  assert.equal(await received(full), full);
  assert.equal(await received(`${full}ä`), `${full}…`);
  assert.equal(await received('x'.repeat(1 << 20)), `${'x'.repeat(MAX_MESSAGE_BYTES)}…`);
});
