import { mkdir, readFile, rm, writeFile } from 'node:fs/promises';
import { dirname } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { statOf } from './leftovers.js';

const LIMIT_MS = 900_000;
const PAUSE_MS = 250;

/** Runs `work` while this process holds the lock file. The lock of a dead process is removed. */
export async function withLock<T>(file: string, work: () => Promise<T>): Promise<T> {
  await mkdir(dirname(file), { recursive: true });
  const endMs = performance.now() + LIMIT_MS;
  while (!(await take(file))) {
    if (performance.now() > endMs) throw new Error(`${file} is held by process ${await ownerOf(file)}`);
    await sleep(PAUSE_MS);
  }
  try {
    return await work();
  } finally {
    await rm(file, { force: true });
  }
}

async function take(file: string): Promise<boolean> {
  try {
    await writeFile(file, String(process.pid), { flag: 'wx' });
    return true;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw error;
    const owner = await ownerOf(file);
    // A new lock file is empty for a moment and then has no owner yet.
    if (owner !== '' && !(await statOf(Number(owner)))) await rm(file, { force: true });
    return false;
  }
}

const ownerOf = (file: string): Promise<string> => readFile(file, 'utf8').catch(() => '');
