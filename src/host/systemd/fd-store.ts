import { closeSync } from 'node:fs';
import type { SdNotify } from './sd-notify.js';

/**
 * Descriptors that the service manager holds open for crid, even while crid is not running (FDSTORE of sd_notify(3)).
 */
export interface FdStore {
  /** The stored names, as far as crid knows; each has one or more descriptors. */
  readonly names: ReadonlySet<string>;
  /** Stores copies. Does nothing when that name is stored already, or without a service manager. */
  keep(name: string, fds: readonly number[]): void;
  /** Removes all descriptors of that name from the store. */
  release(name: string): void;
}

/**
 * Removes LISTEN_FDS, LISTEN_FDNAMES and LISTEN_PID from `env`, and closes the inherited copies: the manager holds its
 * own, and no plugin that crid starts may inherit them.
 */
export function createFdStore(systemd: Pick<SdNotify, 'notify'>, env: NodeJS.ProcessEnv): FdStore {
  const names = new Set(takeInherited(env));
  return {
    names,
    keep(name, fds) {
      if (names.has(name)) return;
      // FDPOLL=0: otherwise systemd drops a pipe as soon as it has no writer, exactly when crid needs it.
      systemd.notify({ FDSTORE: '1', FDNAME: name, FDPOLL: '0' }, fds);
      names.add(name);
    },
    release(name) {
      if (names.delete(name)) systemd.notify({ FDSTOREREMOVE: '1', FDNAME: name });
    },
  };
}

const FIRST_FD = 3;

function takeInherited(env: NodeJS.ProcessEnv): string[] {
  const { LISTEN_FDS: count, LISTEN_FDNAMES: names = '', LISTEN_PID: pid } = env;
  for (const name of ['LISTEN_FDS', 'LISTEN_FDNAMES', 'LISTEN_PID']) delete env[name];
  if (pid !== String(process.pid)) return [];
  for (let fd = FIRST_FD; fd < FIRST_FD + Number(count); fd += 1) closeSync(fd);
  return names.split(':');
}
