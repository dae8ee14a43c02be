import { execFile } from 'node:child_process';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { CriError } from '../../base/errors.js';
import { beginWait } from '../../base/waits.js';
import { exists } from '../files/files.js';

/** An OCI runtime with runc's command line, as containerd's shim for it (`io.containerd.runc.v2`) calls it. */
export interface OciRuntime {
  readonly program: string;
  /** The directory of the runtime's state, with a subdirectory for each containerd namespace. */
  readonly root: string;
}

const LIMIT_MS = 30_000;
const ID = /^[0-9a-f]{64}$/;

/**
 * Kills and deletes a container that has no task in containerd; returns whether the runtime had one. If the caller of
 * Tasks.Create goes away and the runtime takes longer than containerd waits for it, a process that waits for its start
 * is left, and an id that cannot be used again. INTERNAL with the program's message when it fails.
 */
export async function deleteOciContainer(runtime: OciRuntime, namespace: string, id: string): Promise<boolean> {
  const root = join(runtime.root, namespace);
  if (!ID.test(id) || !(await exists(join(root, id)))) return false;
  const endWait = beginWait(() => `${runtime.program} delete ${id}`);
  try {
    await promisify(execFile)(runtime.program, ['--root', root, 'delete', '--force', id], { timeout: LIMIT_MS });
  } catch (thrown) {
    const { stderr = '', message } = thrown as Error & { stderr?: string };
    throw new CriError('INTERNAL', `${runtime.program} delete ${id}: ${stderr.trim().slice(-1024) || message}`);
  } finally {
    endWait();
  }
  return true;
}
