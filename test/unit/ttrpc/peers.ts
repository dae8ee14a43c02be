import { once } from 'node:events';
import { mkdtemp, rm } from 'node:fs/promises';
import { connect, createServer, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { TestContext } from 'node:test';

/** Returns the two ends of a connection over a unix socket. */
export async function socketPair(t: TestContext): Promise<[Socket, Socket]> {
  const folder = await mkdtemp(join(tmpdir(), 'crid-ttrpc-'));
  const server = createServer();
  server.listen(join(folder, 'socket'));
  await once(server, 'listening');
  const far = connect(join(folder, 'socket'));
  const [near] = (await once(server, 'connection')) as [Socket];
  far.on('error', () => undefined);
  t.after(async () => {
    near.destroy();
    far.destroy();
    server.close();
    await rm(folder, { recursive: true });
  });
  return [near, far];
}

/** Returns random numbers below `limit`, always the same for a seed (mulberry32). */
export function randomOf(seed: number): (limit: number) => number {
  let state = seed;
  return (limit) => {
    state = (state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed);
    return Math.floor((((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32) * limit);
  };
}
