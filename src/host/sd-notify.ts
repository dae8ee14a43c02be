import { closeSync } from 'node:fs';
import { CriError } from '../base/errors.js';
import { call, systemCall } from './libc.js';

/** What systemd is told of this service, and how often it wants to hear that it is alive. */
export interface SdNotify {
  /** Sends variables such as `READY: '1'` or `STATUS: '…'` in one message. Does nothing where no service manager asked. */
  notify(variables: Readonly<Record<string, string>>): void;
  /** Half of WatchdogSec of the unit, in milliseconds; undefined when there is none. */
  readonly watchdogIntervalMs: number | undefined;
}

/**
 * The service manager's side channel of sd_notify(3). Takes NOTIFY_SOCKET, WATCHDOG_USEC and WATCHDOG_PID out of `env`, so
 * that no plugin that crid starts speaks in its name. INVALID_ARGUMENT for a socket that is neither a path nor `@NAME`.
 */
export function createSdNotify(env: NodeJS.ProcessEnv): SdNotify {
  const { NOTIFY_SOCKET: address, WATCHDOG_USEC: watchdogUs, WATCHDOG_PID: watchdogPid } = env;
  for (const name of ['NOTIFY_SOCKET', 'WATCHDOG_USEC', 'WATCHDOG_PID']) delete env[name];
  if (!address) return { notify: () => undefined, watchdogIntervalMs: undefined };
  const target = socketAddress(address);
  const isForUs = watchdogPid === undefined || watchdogPid === String(process.pid);
  const intervalMs = isForUs ? Number(watchdogUs) / US_PER_MS / 2 : NaN;
  return {
    notify: (variables) => send(address, target, messageOf(variables)),
    watchdogIntervalMs: intervalMs > 0 ? intervalMs : undefined,
  };
}

const US_PER_MS = 1000;
const AF_UNIX = 1;
const SOCK_DGRAM = 2;
const NONBLOCK = 0o4000;
const CLOEXEC = 0o2000000;
const MSG_NOSIGNAL = 0x4000;
/** sun_path of unix(7). */
const MAX_PATH_BYTES = 108;

const socketCall = systemCall('socket', ['int', 'int', 'int']);
const sendto = systemCall('sendto', ['int', 'void *', 'size_t', 'int', 'void *', 'uint'], 'sendto', 'long');

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

/** A line ends a variable, so none may stand in a value. */
const messageOf = (variables: Readonly<Record<string, string>>): Buffer =>
  Buffer.from(
    Object.entries(variables)
      .map(([name, value]) => `${name}=${value.replaceAll('\n', ' ')}`)
      .join('\n'),
  );

function send(subject: string, target: Buffer, message: Buffer): void {
  const fd = call(socketCall, subject, AF_UNIX, SOCK_DGRAM | NONBLOCK | CLOEXEC, 0);
  try {
    call(sendto, subject, fd, message, message.length, MSG_NOSIGNAL, target, target.length);
  } finally {
    closeSync(fd);
  }
}
