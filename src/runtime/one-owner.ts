import { createHash } from 'node:crypto';
import { realpath } from 'node:fs/promises';
import { join } from 'node:path';
import { withoutScheme } from '../base/unix-socket.js';
import { lockFile } from '../host/files/lock-file.js';
import type { Directories } from '../state/directories.js';

/**
 * A crid that was killed has released its locks by then. A crid that finishes its calls takes longer, and the new one
 * is refused.
 */
const WAIT_MS = 3_000;
/** A fixed path, so that crids with other state directories use the same locks. */
const LOCKS = '/run/crid/locks';

/**
 * Makes this process the only crid on containerd's namespace and on the state directory. ALREADY_EXISTS names the pid
 * of the other one. Returns a function that releases both.
 */
export async function ownAlone(
  directories: Pick<Directories, 'state'>,
  { address, namespace }: { readonly address: string; readonly namespace: string },
): Promise<() => void> {
  const socket = withoutScheme(address);
  const containerd = await realpath(socket).catch(() => socket);
  const key = createHash('sha256').update(`${containerd}\0${namespace}`).digest('hex').slice(0, 32);
  const what = `namespace "${namespace}" of containerd at ${socket}`;
  const giveUpNamespace = await lockFile(join(LOCKS, `${key}.lock`), what, WAIT_MS);
  try {
    const giveUpState = await lockFile(
      join(directories.state, 'crid.lock'),
      `state directory "${directories.state}"`,
      WAIT_MS,
    );
    return () => {
      giveUpState();
      giveUpNamespace();
    };
  } catch (thrown) {
    giveUpNamespace();
    throw thrown;
  }
}
