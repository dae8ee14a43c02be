import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdir, open, unlink, writeFile } from 'node:fs/promises';
import { dirname } from 'node:path';
import { CriError } from '../../base/errors.js';
import { bindMount, unmount } from '../mount/mount-calls.js';
import { errnoName, translated } from '../syscall/errno.js';
import { removeNetns } from './netns.js';

export interface IdMapping {
  readonly containerID: number;
  readonly hostID: number;
  readonly size: number;
}

/**
 * Makes a user namespace with these mappings and a network namespace that it owns, each kept open by a bind mount on
 * its path. Neither path may exist (ALREADY_EXISTS). Nothing is left on any other failure.
 */
export async function createUserNetns(options: {
  readonly uids: readonly IdMapping[];
  readonly gids: readonly IdMapping[];
  readonly netnsPath: string;
  readonly usernsPath: string;
}): Promise<void> {
  const { netnsPath, usernsPath } = options;
  await withNamespaces(async (pid) => {
    await translated(usernsPath, async () => {
      await writeFile(`/proc/${pid}/uid_map`, mapLines(options.uids));
      await writeFile(`/proc/${pid}/gid_map`, mapLines(options.gids));
    });
    try {
      await pin(`/proc/${pid}/ns/user`, usernsPath);
      await pin(`/proc/${pid}/ns/net`, netnsPath);
    } catch (thrown) {
      if (thrown instanceof CriError && thrown.code === 'ALREADY_EXISTS') throw thrown;
      await Promise.all([removeNetns(netnsPath), unpinNamespace(usernsPath)]);
      throw thrown;
    }
  });
}

/** Unmounts a pinned namespace and removes its file. Succeeds when it is gone. */
export async function unpinNamespace(path: string): Promise<void> {
  await unmount(path, { detach: true });
  await translated(path, async () => {
    await unlink(path).catch((thrown: unknown) => {
      if (errnoName(thrown) !== 'ENOENT') throw thrown;
    });
  });
}

const STARTED_WITHIN_MS = 10_000;

/**
 * Runs `work` with the pid of a process in a new user namespace and in a new network namespace that it owns. This needs
 * another process: a process with threads, such as Node, cannot enter a user namespace (unshare(2)). One call of
 * unshare(2) makes both, so that the user namespace owns the network namespace.
 */
async function withNamespaces(work: (pid: number) => Promise<void>): Promise<void> {
  const child = spawn('unshare', ['--user', '--net', 'cat'], { stdio: ['pipe', 'pipe', 'pipe'], cwd: '/' });
  const exited = once(child, 'exit').catch(() => undefined);
  const failed = new Promise<never>((_, reject) => {
    let said = '';
    child.stderr.on('data', (chunk: Buffer) => (said = `${said}${chunk.toString()}`.slice(-1024)));
    child.stdin.on('error', () => undefined);
    child.on('error', (error) => reject(new CriError('FAILED_PRECONDITION', `unshare: ${error.message}`)));
    child.on('exit', () => reject(new CriError('INTERNAL', `unshare: ${said.trim() || 'ended at once'}`)));
  });
  failed.catch(() => undefined);
  try {
    // The reply comes from `cat`, which `unshare` runs after both namespaces are made.
    child.stdin.write('\n');
    const late = AbortSignal.timeout(STARTED_WITHIN_MS);
    await Promise.race([once(child.stdout, 'data', { signal: late }), failed]);
    await work(child.pid ?? 0);
  } finally {
    child.stdin.end();
    child.kill('SIGKILL');
    if (child.pid !== undefined) await exited;
  }
}

async function pin(namespace: string, path: string): Promise<void> {
  await translated(path, async () => {
    await mkdir(dirname(path), { recursive: true, mode: 0o755 });
    await (await open(path, 'wx', 0o444)).close();
  });
  await bindMount(namespace, path);
}

const mapLines = (mappings: readonly IdMapping[]): string =>
  mappings.map(({ containerID, hostID, size }) => `${containerID} ${hostID} ${size}\n`).join('');
