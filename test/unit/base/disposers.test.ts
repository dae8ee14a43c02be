import assert from 'node:assert/strict';
import { test } from 'node:test';
import { createDisposers } from '../../../src/base/disposers.js';

test('parts are closed in reverse order, each once, also after one that fails', async () => {
  const told: string[] = [];
  const disposers = createDisposers({ warn: (_: unknown, message?: string) => void told.push(message ?? '') });
  const part = (name: string) => async (limitMs: number) => {
    await new Promise((resolve) => setImmediate(resolve));
    told.push(`${name} within ${limitMs} ms`);
  };
  const server = disposers.add('server', part('server'));
  disposers.add('client', part('client'));
  disposers.add('thread', () => Promise.reject(new Error('busy')));
  server.raise();
  disposers.add('watch', part('watch'));

  await Promise.all([disposers.close(10), disposers.close(20)]);
  assert.deepEqual(told, ['watch within 10 ms', 'server within 10 ms', 'thread not closed', 'client within 10 ms']);
});
