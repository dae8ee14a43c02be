import { closeSync } from 'node:fs';
import type { SdNotify } from './sd-notify.js';

/** Descriptors that the service manager holds open for crid, also while crid is away (FDSTORE of sd_notify(3)). */
export interface FdStore {
  /** What it holds, as far as crid knows: names, each of any number of descriptors. */
  readonly names: ReadonlySet<string>;
  /** Gives it copies; nothing happens when it holds that name already, or where there is no service manager. */
  keep(name: string, fds: readonly number[]): void;
  /** It lets go of all descriptors of that name. */
  release(name: string): void;
}

/**
 * Takes LISTEN_FDS, LISTEN_FDNAMES and LISTEN_PID out of `env`, and closes the copies that came with the start: what counts
 * is that the manager holds them, and no plugin that crid starts should.
 */
export function createFdStore(systemd: Pick<SdNotify, 'notify'>, env: NodeJS.ProcessEnv): FdStore {
  const names = new Set(takeInherited(env));
  return {
    names,
    keep(name, fds) {
      if (names.has(name)) return;
      // Else the manager drops a pipe as soon as it has no writer: just when it is needed.
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
