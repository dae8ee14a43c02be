import { closeSync, ftruncateSync, openSync, readFileSync, writeSync } from 'node:fs';
import { mkdir } from 'node:fs/promises';
import { dirname } from 'node:path';
import { CriError } from '../../base/errors.js';
import { sleep } from '../../base/time.js';
import { errnoName } from '../syscall/errno.js';
import { call, systemCall } from '../syscall/libc.js';

const LOCK_EX = 2;
const LOCK_NB = 4;
const ASK_MS = 50;

const flock = systemCall('flock', ['int', 'int']);

/**
 * Takes the flock(2) lock of the file and writes this process's pid into it. The kernel releases the lock when the
 * process ends, however it ends; Node opens files with O_CLOEXEC, so no child inherits it. Waits `waitMs` for another
 * process to end, then throws ALREADY_EXISTS with its pid. Returns a function that releases the lock.
 */
export async function lockFile(path: string, what: string, waitMs: number): Promise<() => void> {
  await mkdir(dirname(path), { recursive: true, mode: 0o711 });
  const descriptor = openSync(path, 'a+', 0o600);
  const endMs = performance.now() + waitMs;
  try {
    while (!tryLock(descriptor, path)) {
      if (performance.now() >= endMs) {
        const holder = readFileSync(path, 'utf8').trim() || 'unknown';
        throw new CriError('ALREADY_EXISTS', `${what} is in use by another crid, pid ${holder} (lock ${path})`);
      }
      await sleep(ASK_MS);
    }
    ftruncateSync(descriptor);
    writeSync(descriptor, `${process.pid}\n`);
  } catch (thrown) {
    closeSync(descriptor);
    throw thrown;
  }
  return () => closeSync(descriptor);
}

function tryLock(descriptor: number, path: string): boolean {
  try {
    call(flock, path, descriptor, LOCK_EX | LOCK_NB);
    return true;
  } catch (thrown) {
    if (errnoName(thrown) === 'EAGAIN' || errnoName(thrown) === 'EWOULDBLOCK') return false;
    throw thrown;
  }
}
