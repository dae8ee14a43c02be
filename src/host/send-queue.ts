import type { Socket } from 'node:net';
import { systemCall } from './libc.js';

/** tcp(7) */
const SIOCOUTQ = 0x5411;

const ioctl = systemCall('ioctl', ['int', 'ulong', 'void *'], 'ioctl');

/**
 * How many bytes the kernel has of a TCP connection that the other side has not acknowledged, the end of the connection
 * being one of them; 0 when it is closed.
 */
export function unacknowledged(socket: Socket): number {
  // Node has no other name for it.
  const fd = (socket as { _handle?: { fd?: number } | null })._handle?.fd ?? -1;
  const answer = Buffer.alloc(4);
  return fd < 0 || ioctl.sync(fd, SIOCOUTQ, answer) === -1 ? 0 : answer.readInt32LE(0);
}
