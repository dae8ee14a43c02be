import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { CriError } from '../base/errors.js';
import type { Logger } from '../base/log.js';
import { removeFile, writeFileAtomic } from '../host/files/files.js';
import type { Directories } from './directories.js';
import type { Container } from './records.js';
import { toStoredStatus } from './status-conversion.js';
import { decodePluginStatus, encodePluginStatus, type StoredStatus } from './stored.js';

/** The status file of containerd's own CRI plugin, which lets the plugin take over crid's containers. */
export interface StatusFiles {
  /** Returns whether the file has the status. Logs a failure: crid itself does not depend on the file. */
  write(container: Container): Promise<boolean>;
  /** Succeeds when there is no file. */
  remove(id: string): Promise<void>;
}

export function createStatusFiles(directories: Directories, log: Logger): StatusFiles {
  return {
    async write(container) {
      const status = encodePluginStatus(toStoredStatus(container));
      try {
        // Not synced: after a power failure no container runs, whatever the file says.
        await writeFileAtomic(pathOf(directories, container.id), status, { sync: false });
        return true;
      } catch (thrown) {
        log.warn({ container: container.id, err: CriError.from(thrown).message }, 'status file not written');
        return false;
      }
    },
    remove: (id) => removeFile(pathOf(directories, id)),
  };
}

/** Returns undefined when there is no file. */
export async function readStatusFile(directories: Directories, id: string): Promise<StoredStatus | undefined> {
  const text = await readFile(pathOf(directories, id), 'utf8').catch((error: NodeJS.ErrnoException) => {
    if (error.code === 'ENOENT') return undefined;
    throw error;
  });
  return text === undefined ? undefined : decodePluginStatus(text, id);
}

/** Returns the later of two statuses of one container: the state only moves from created to running to exited. */
export const laterStatus = (one: StoredStatus, other: StoredStatus | undefined): StoredStatus =>
  other && progress(other) > progress(one) ? other : one;

const progress = ({ startedAt, finishedAt }: StoredStatus): number =>
  finishedAt !== 0n ? 2 : startedAt !== 0n ? 1 : 0;

const pathOf = (directories: Directories, id: string): string => join(directories.containerRoot(id), 'status');
