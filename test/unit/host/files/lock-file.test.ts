import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { lockFile } from '../../../../src/host/files/lock-file.js';

let dir: string;
before(async () => void (dir = await mkdtemp(join(tmpdir(), 'crid-lock-'))));
after(() => rm(dir, { recursive: true }));

const HOLDER = `
  import { lockFile } from ${JSON.stringify(new URL('../../../../src/host/files/lock-file.js', import.meta.url).href)};
  await lockFile(process.argv[1], 'the namespace', 0);
  process.stdout.write('locked');
  setInterval(() => undefined, 1000);
`;

test('a second process is refused with the pid of the first; the kernel releases the lock of a killed one', async () => {
  const path = join(dir, 'state', 'crid.lock');
  const holder = spawn(process.execPath, ['--input-type=module', '-e', HOLDER, path], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  await once(holder.stdout, 'data');
  await assert.rejects(lockFile(path, 'the namespace', 100), {
    code: 'ALREADY_EXISTS',
    message: `the namespace is in use by another crid, pid ${holder.pid} (lock ${path})`,
  });
  const waiting = lockFile(path, 'the namespace', 20_000);
  holder.kill('SIGKILL');
  (await waiting)();
});

test('a released lock can be taken again', async () => {
  const path = join(dir, 'again.lock');
  (await lockFile(path, 'it', 0))();
  (await lockFile(path, 'it', 0))();
});
