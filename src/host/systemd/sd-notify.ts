import { closeSync } from 'node:fs';
import koffi from 'koffi';
import { CriError } from '../../base/errors.js';
import { O_CLOEXEC, socketCall } from '../syscall/common-calls.js';
import { call, systemCall } from '../syscall/libc.js';

/** Notifications to systemd about this service, and the interval of its watchdog. */
export interface SdNotify {
  /**
   * Sends variables such as `READY: '1'` or `STATUS: '…'` in one message, with descriptors that the manager gets copies
   * of. Does nothing without NOTIFY_SOCKET.
   */
  notify(variables: Readonly<Record<string, string>>, fds?: readonly number[]): void;
  /** Half of WatchdogSec of the unit, in milliseconds; undefined when there is none. */
  readonly watchdogIntervalMs: number | undefined;
}

/**
 * Makes a client of sd_notify(3). Removes NOTIFY_SOCKET, WATCHDOG_USEC and WATCHDOG_PID from `env`, so that no plugin
 * that crid starts can notify in its name. INVALID_ARGUMENT for a socket that is neither a path nor `@NAME`.
 */
export function createSdNotify(env: NodeJS.ProcessEnv): SdNotify {
  const { NOTIFY_SOCKET: address, WATCHDOG_USEC: watchdogUs, WATCHDOG_PID: watchdogPid } = env;
  for (const name of ['NOTIFY_SOCKET', 'WATCHDOG_USEC', 'WATCHDOG_PID']) delete env[name];
  if (!address) return { notify: () => undefined, watchdogIntervalMs: undefined };
  const target = socketAddress(address);
  const isForUs = watchdogPid === undefined || watchdogPid === String(process.pid);
  const intervalMs = isForUs ? Number(watchdogUs) / US_PER_MS / 2 : NaN;
  return {
    notify: (variables, fds = []) => send(address, target, messageOf(variables), fds),
    watchdogIntervalMs: intervalMs > 0 ? intervalMs : undefined,
  };
}

const US_PER_MS = 1000;
const AF_UNIX = 1;
const SOCK_DGRAM = 2;
const NONBLOCK = 0o4000;
const MSG_NOSIGNAL = 0x4000;
const SOL_SOCKET = 1;
const SCM_RIGHTS = 1;
const INT_BYTES = 4;
const CMSG_ALIGN_BYTES = 8;
const CMSG_HEADER_BYTES = CMSG_ALIGN_BYTES + 2 * INT_BYTES;
/** sun_path of unix(7). */
const MAX_PATH_BYTES = 108;

const iovec = koffi.struct('iovec', { base: 'void *', length: 'size_t' });
koffi.struct('msghdr', {
  name: 'void *',
  nameLength: 'uint',
  iov: koffi.pointer(iovec),
  iovLength: 'size_t',
  control: 'void *',
  controlLength: 'size_t',
  flags: 'int',
});
const sendmsg = systemCall('sendmsg', ['int', 'msghdr *', 'int'], 'sendmsg', 'long');

/** struct sockaddr_un; `@` stands for the NUL of an abstract name. */
function socketAddress(address: string): Buffer {
  const name = Buffer.from(address.replace(/^@/, '\0'));
  if (!/^[/@]/.test(address) || name.length >= MAX_PATH_BYTES) {
    throw new CriError('INVALID_ARGUMENT', `NOTIFY_SOCKET: expected a path or @NAME, received "${address}"`);
  }
  const family = Buffer.alloc(2);
  new Uint16Array(family.buffer, family.byteOffset, 1)[0] = AF_UNIX;
  return Buffer.concat([family, name]);
}

/** A newline ends a variable, so newlines in a value become spaces. */
const messageOf = (variables: Readonly<Record<string, string>>): Buffer =>
  Buffer.from(
    Object.entries(variables)
      .map(([name, value]) => `${name}=${value.replaceAll('\n', ' ')}`)
      .join('\n'),
  );

/** struct cmsghdr and the descriptors after it (cmsg(3), SCM_RIGHTS). */
function rights(fds: readonly number[]): Buffer {
  const length = CMSG_HEADER_BYTES + fds.length * INT_BYTES;
  const control = Buffer.alloc(Math.ceil(length / CMSG_ALIGN_BYTES) * CMSG_ALIGN_BYTES);
  new BigUint64Array(control.buffer, control.byteOffset, 1)[0] = BigInt(length);
  new Int32Array(control.buffer, control.byteOffset + CMSG_ALIGN_BYTES, 2 + fds.length).set([
    SOL_SOCKET,
    SCM_RIGHTS,
    ...fds,
  ]);
  return control;
}

function send(subject: string, target: Buffer, message: Buffer, fds: readonly number[]): void {
  const control = fds.length > 0 ? rights(fds) : null;
  const fd = call(socketCall, subject, AF_UNIX, SOCK_DGRAM | NONBLOCK | O_CLOEXEC, 0);
  try {
    const header = {
      name: target,
      nameLength: target.length,
      iov: [{ base: message, length: message.length }],
      iovLength: 1,
      control,
      controlLength: control?.length ?? 0,
      flags: 0,
    };
    call(sendmsg, subject, fd, header, MSG_NOSIGNAL);
  } finally {
    closeSync(fd);
  }
}
