import { chmod, chown, lstat, mkdir, mkdtemp, rename, rm, unlink } from 'node:fs/promises';
import { connect } from 'node:net';
import { dirname, join } from 'node:path';
import { CriError } from './errors.js';
import { withoutScheme } from './unix-socket.js';

/** sun_path of unix(7) holds 107 bytes and a NUL. */
const MAX_PATH_BYTES = 107;
const PROBE_MS = 1_000;
const SOCKET_MODE = 0o660;

/**
 * Returns the path of `unix:///path`, `unix:/path` or `/path`. Throws INVALID_ARGUMENT, with the name of the option, for
 * other forms and for paths that are too long for the kernel.
 */
export function socketPath(address: string, option = 'listen'): string {
  const path = withoutScheme(address);
  if (!path.startsWith('/')) {
    throw new CriError(
      'INVALID_ARGUMENT',
      `${option}: expected unix:///PATH or an absolute path, received "${address}"`,
    );
  }
  const longest = Math.max(Buffer.byteLength(path), Buffer.byteLength(dirname(path)) + HIDDEN_BYTES);
  if (longest > MAX_PATH_BYTES) {
    throw new CriError(
      'INVALID_ARGUMENT',
      `${option}: "${path}" is longer than the ${MAX_PATH_BYTES} bytes of a socket's path`,
    );
  }
  return path;
}

/**
 * Creates the socket's directory and removes a stale socket. Throws ALREADY_EXISTS, with the name of the option, if a
 * server listens on it or it is another kind of file.
 */
export async function clearSocket(path: string, option = 'listen', directoryMode = 0o755): Promise<void> {
  await mkdir(dirname(path), { recursive: true, mode: directoryMode });
  const there = await lstat(path).catch((error: NodeJS.ErrnoException) => {
    if (error.code === 'ENOENT') return undefined;
    throw error;
  });
  if (!there) return;
  if (!there.isSocket()) throw new CriError('ALREADY_EXISTS', `${option}: "${path}" exists and is not a socket`);
  if (await answers(path)) throw new CriError('ALREADY_EXISTS', `${option}: another server answers on "${path}"`);
  await unlink(path);
}

/**
 * Listens on a socket that only its owner and its group can connect to. The socket is created in a private directory
 * and then renamed to `path` with its final mode, so that others can connect at no moment. Returns a function that
 * removes the socket.
 */
export async function listenProtected(
  path: string,
  gid: number,
  listen: (path: string) => Promise<unknown>,
): Promise<() => Promise<void>> {
  const directory = await mkdtemp(join(dirname(path), HIDDEN_PREFIX));
  try {
    const hidden = join(directory, HIDDEN_NAME);
    await listen(hidden);
    await chown(hidden, 0, gid);
    await chmod(hidden, SOCKET_MODE);
    const { ino } = await lstat(hidden);
    await rename(hidden, path);
    return () => removeOwn(path, ino);
  } finally {
    await rm(directory, { recursive: true, force: true });
  }
}

const HIDDEN_PREFIX = '.';
const HIDDEN_NAME = 's';
/** The length of `/.XXXXXX/s`, which replaces the socket's name until the rename. */
const HIDDEN_BYTES = 10;

/** Removes the socket unless a server that started later has replaced it. */
async function removeOwn(path: string, inode: number): Promise<void> {
  const there = await lstat(path).catch(() => undefined);
  if (there?.ino === inode) await rm(path, { force: true });
}

function answers(path: string): Promise<boolean> {
  return new Promise((resolve, reject) => {
    const socket = connect(path);
    const finish = (answer: boolean): void => {
      socket.destroy();
      resolve(answer);
    };
    socket.setTimeout(PROBE_MS, () => finish(true));
    socket.once('connect', () => finish(true));
    socket.once('error', (error: NodeJS.ErrnoException) => {
      if (error.code === 'ECONNREFUSED' || error.code === 'ENOENT') finish(false);
      else reject(error);
    });
  });
}
