import { createHash } from 'node:crypto';
import { mkdir, readFile, rename, rm, stat, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';

const LOCK_TIMEOUT_MS = 900_000;
const LOCK_PAUSE_MS = 250;

/**
 * Runs `make` unless the stamp in `folder` says that it was already run with the same `inputs`. Processes that ask at the
 * same time wait for the first. Answers whether it was made now.
 */
export async function madeOnce(
  folder: string,
  name: string,
  inputs: unknown,
  make: () => Promise<void>,
): Promise<boolean> {
  const stamp = join(folder, `${name}.stamp`);
  const wanted = createHash('sha256').update(JSON.stringify(inputs)).digest('hex');
  const isMade = async (): Promise<boolean> => (await read(stamp)) === wanted;
  if (await isMade()) return false;
  return withLock(join(folder, `${name}.lock`), async () => {
    if (await isMade()) return false;
    await make();
    await writeWhole(stamp, wanted);
    return true;
  });
}

/** Writes beside the file and renames, so that nobody reads a half of it. */
export async function writeWhole(file: string, text: string): Promise<void> {
  const temporary = `${file}.${process.pid}`;
  await writeFile(temporary, text);
  await rename(temporary, file);
}

async function withLock<T>(lock: string, work: () => Promise<T>): Promise<T> {
  await mkdir(dirname(lock), { recursive: true });
  const endMs = performance.now() + LOCK_TIMEOUT_MS;
  while (!(await take(lock))) {
    if (performance.now() > endMs) throw new Error(`${lock} is held by process ${await read(lock)}`);
    await sleep(LOCK_PAUSE_MS);
  }
  try {
    return await work();
  } finally {
    await rm(lock, { force: true });
  }
}

async function take(lock: string): Promise<boolean> {
  try {
    await writeFile(lock, String(process.pid), { flag: 'wx' });
    return true;
  } catch (thrown) {
    if ((thrown as NodeJS.ErrnoException).code !== 'EEXIST') throw thrown;
    const owner = Number(await read(lock));
    // Between its creation and its first byte a lock has no owner yet.
    if (owner > 0 && !(await exists(`/proc/${owner}`))) await rm(lock, { force: true });
    return false;
  }
}

const exists = (path: string): Promise<boolean> =>
  stat(path).then(
    () => true,
    () => false,
  );

const read = (file: string): Promise<string> => readFile(file, 'utf8').catch(() => '');
