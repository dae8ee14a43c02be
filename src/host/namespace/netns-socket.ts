import { Socket } from 'node:net';
import { inNetns } from './netns.js';
import { O_CLOEXEC, socketCall } from '../syscall/common-calls.js';
import { call } from '../syscall/libc.js';

/**
 * Connects to a TCP port of the loopback in the network namespace at `netnsPath` ("": crid's own). A socket keeps the
 * namespace that it was made in, so only socket(2) runs there. Errors are emitted as the socket's `error`; NOT_FOUND is
 * thrown when there is no such namespace.
 */
export function connectLoopback(netnsPath: string, family: 4 | 6, port: number): Socket {
  const make = (): number => call(socketCall, `tcp${family}`, FAMILY[family], SOCK_STREAM | NONBLOCK | O_CLOEXEC, 0);
  const fd = netnsPath === '' ? make() : inNetns(netnsPath, make);
  // A socket cannot be read before it is connected: `pauseOnCreate` leaves the reading to `connect`.
  const socket = new Socket({ fd, allowHalfOpen: true, pauseOnCreate: true } as ConstructorParameters<
    typeof Socket
  >[0]);
  return socket.connect({ host: LOOPBACK[family], port, family });
}

const FAMILY = { 4: 2, 6: 10 } as const;
const LOOPBACK = { 4: '127.0.0.1', 6: '::1' } as const;
const SOCK_STREAM = 1;
const NONBLOCK = 0o4000;
