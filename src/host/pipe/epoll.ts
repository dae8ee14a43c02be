import { constants } from 'node:os';
import { writeSync } from 'node:fs';
import { O_CLOEXEC } from '../syscall/common-calls.js';
import { errnoError } from '../syscall/errno.js';
import { call, lastErrno, systemCall } from '../syscall/libc.js';

/** Makes an epoll instance (epoll(7)); close it with `fs.closeSync`. */
export const createEpoll = (): number => call(epollCreate, 'epoll', O_CLOEXEC);

/** Makes a non-blocking eventfd (eventfd(2)), which is readable from a write until it is read. */
export const createEventFd = (): number => call(eventfd, 'eventfd', 0, O_CLOEXEC | EFD_NONBLOCK);

/** Makes an eventfd readable. */
export const signalEventFd = (fd: number): void => void writeSync(fd, ONE);

/** Watches `fd` for input, or for room to write, level-triggered. */
export function epollAdd(epoll: number, fd: number, direction: 'input' | 'room' = 'input'): void {
  const event = Buffer.alloc(EVENT_BYTES);
  event.writeUInt32LE(direction === 'input' ? EPOLLIN : EPOLLOUT, 0);
  event.writeInt32LE(fd, DATA_OFFSET);
  call(epollCtl, `fd ${fd}`, epoll, EPOLL_CTL_ADD, fd, event);
}

export const epollRemove = (epoll: number, fd: number): void =>
  void call(epollCtl, `fd ${fd}`, epoll, EPOLL_CTL_DEL, fd, Buffer.alloc(EVENT_BYTES));

/**
 * Blocks this thread until a descriptor is ready (input, room, end or error) or `timeoutMs` is over; returns up to 64
 * ready descriptors.
 */
export function epollWait(epoll: number, timeoutMs: number): number[] {
  const events = (eventsBuffer ??= Buffer.alloc(EVENT_BYTES * MAX_EVENTS));
  const count = epollWaitCall.sync(epoll, events, MAX_EVENTS, timeoutMs);
  if (count === -1) {
    if (lastErrno() === constants.errno.EINTR) return [];
    throw errnoError(epollWaitCall.name, `fd ${epoll}`, lastErrno());
  }
  return Array.from({ length: count }, (_, index) => events.readInt32LE(index * EVENT_BYTES + DATA_OFFSET));
}

const EFD_NONBLOCK = 0o4000;
const EPOLL_CTL_ADD = 1;
const EPOLL_CTL_DEL = 2;
const EPOLLIN = 1;
const EPOLLOUT = 4;
const MAX_EVENTS = 64;
const ONE = new BigUint64Array([1n]);

// struct epoll_event is packed on x86-64 and nowhere else.
const [EVENT_BYTES, DATA_OFFSET] = process.arch === 'x64' ? [12, 4] : [16, 8];

let eventsBuffer: Buffer | undefined;

const epollCreate = systemCall('epoll_create1', ['int']);
const epollCtl = systemCall('epoll_ctl', ['int', 'int', 'int', 'void *']);
const epollWaitCall = systemCall('epoll_wait', ['int', 'void *', 'int', 'int']);
const eventfd = systemCall('eventfd', ['uint', 'int']);
