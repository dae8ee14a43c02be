import { existsSync, lstatSync } from 'node:fs';
import { mkdir, readlink, rm, symlink } from 'node:fs/promises';
import { dirname } from 'node:path';
import { goModule } from '../../tools/stack/go-modules.js';
import { until } from '../../tools/stack/wait.js';

const DEFAULT_SOCKET = '/run/containerd/containerd.sock';
/** From this minor version of Kubernetes on, the kubelet has no flag for the socket that cadvisor uses. */
const NO_FLAG_FROM = 37;
const FREE_LIMIT_MS = 300_000;

/** The way in which the cadvisor of a kubelet finds a containerd. */
export interface CadvisorSocket {
  readonly flags: readonly string[];
  remove(): Promise<void>;
}

/**
 * cadvisor asks containerd which container a cgroup belongs to. Without a flag it uses containerd's default socket, so
 * a symbolic link there leads to the stack's containerd. A link stays valid when containerd restarts.
 */
export async function cadvisorSocket(socket: string): Promise<CadvisorSocket> {
  const nothing = { flags: [], remove: () => Promise.resolve() };
  if (socket === DEFAULT_SOCKET) return nothing;
  const [, minor] = /^v1\.(\d+)\./.exec(goModule('kubelet').version) ?? [];
  if (Number(minor) < NO_FLAG_FROM) return { ...nothing, flags: ['--containerd', socket] };
  await mkdir(dirname(DEFAULT_SOCKET), { recursive: true });
  await until(`no other containerd or test has ${DEFAULT_SOCKET}`, FREE_LIMIT_MS, () => take(socket));
  return { flags: [], remove: () => rm(DEFAULT_SOCKET, { force: true }) };
}

/** Creates the link unless a socket is there. A link to nothing is that of a test that was killed. */
async function take(socket: string): Promise<true | undefined> {
  const isDead = !existsSync(DEFAULT_SOCKET) && lstatSync(DEFAULT_SOCKET, { throwIfNoEntry: false })?.isSymbolicLink();
  if (isDead) await rm(DEFAULT_SOCKET);
  const made = await symlink(socket, DEFAULT_SOCKET).then(
    () => true,
    (error: NodeJS.ErrnoException) => {
      if (error.code !== 'EEXIST') throw error;
      return false;
    },
  );
  if (made) return true;
  const owner = await readlink(DEFAULT_SOCKET).catch(() => 'a socket');
  throw new Error(`it is ${owner}`);
}
