import { readFile } from 'node:fs/promises';

/** A socket of proc_pid_net(5), `unix`. Accepted sockets have the listener's path. */
export interface UnixSocket {
  readonly inode: string;
  readonly listens: boolean;
  /** The path that it was bound to, or '': a renamed socket keeps the old one. */
  readonly path: string;
}

/** Returns the unix sockets in the network namespace of a process. */
export async function unixSockets(pid: number | 'self' = 'self'): Promise<UnixSocket[]> {
  return (await readFile(`/proc/${pid}/net/unix`, 'utf8')).split('\n').map(parseSocket);
}

/** Parses `Num RefCount Protocol Flags Type St Inode Path`. */
function parseSocket(line: string): UnixSocket {
  const [, , , flags = '0', , , inode = '', path = ''] = line.trim().split(/\s+/);
  return { inode, listens: (Number.parseInt(flags, 16) & SO_ACCEPTCON) !== 0, path };
}

/** __SO_ACCEPTCON of linux/net.h */
const SO_ACCEPTCON = 1 << 16;
