import type { Socket } from 'node:net';
import { ioctl } from '../syscall/common-calls.js';

/** tcp(7) */
const SIOCOUTQ = 0x5411;

/**
 * Returns how many bytes of a TCP connection the kernel holds that the peer has not acknowledged; the FIN counts as one
 * byte. 0 when the socket is closed.
 */
export function unacknowledged(socket: Socket): number {
  // Node has no public API for the descriptor.
  const fd = (socket as { _handle?: { fd?: number } | null })._handle?.fd ?? -1;
  const answer = Buffer.alloc(4);
  return fd < 0 || ioctl.sync(fd, SIOCOUTQ, answer) === -1 ? 0 : answer.readInt32LE(0);
}
