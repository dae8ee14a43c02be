import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { CriError } from '../../base/errors.js';
import type { ThreadNamespace } from './thread-namespaces.js';

const STARTED_WITHIN_MS = 10_000;

/**
 * Runs `work` with the pid of a process in a new user namespace and in new namespaces of `types` that it owns. This
 * needs another process: a process with threads, such as Node, cannot enter a user namespace (unshare(2)). One call of
 * unshare(2) makes all, so that the user namespace owns the others.
 */
export async function withProcessInside(
  types: readonly ThreadNamespace[],
  work: (pid: number) => Promise<void>,
): Promise<void> {
  const options = ['--user', ...types.map((type) => `--${type}`)];
  const child = spawn('unshare', [...options, 'cat'], { stdio: ['pipe', 'pipe', 'pipe'], cwd: '/' });
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
    // The reply comes from `cat`, which `unshare` runs after the namespaces are made.
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
