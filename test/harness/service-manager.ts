import { closeSync } from 'node:fs';
import { call, lastErrno, systemCall } from '../../src/host/syscall/libc.js';
// This import declares struct msghdr.
import '../../src/host/systemd/sd-notify.js';

/** The parts of systemd that a service uses (sd_notify(3)): messages, and a store of descriptors in this process. */
export interface ServiceManager {
  /** Reads the messages that have arrived since the last call and returns them. */
  receive(): string[];
  /** Returns the names in the store. */
  stored(): string[];
  close(): void;
}

const EAGAIN = 11;
const DONTWAIT_CLOEXEC = 0x40 | 0x40000000;
const RIGHTS_OFFSET = 16;
const MAX_BYTES = 4096;

const socketCall = systemCall('socket', ['int', 'int', 'int']);
const bind = systemCall('bind', ['int', 'void *', 'uint']);
const recvmsg = systemCall('recvmsg', ['int', 'msghdr *', 'int'], 'recvmsg', 'long');

export function serviceManager(path: string): ServiceManager {
  const fd = call(socketCall, path, 1, 2, 0);
  const address = Buffer.concat([Buffer.from([1, 0]), Buffer.from(path)]);
  call(bind, path, fd, address, address.length);
  const store = new Map<string, number[]>();

  const release = (name: string): void => {
    for (const one of store.get(name) ?? []) closeSync(one);
    store.delete(name);
  };

  const obey = (text: string, fds: number[]): void => {
    const variables = new Map(text.split('\n').map((line) => line.split('=', 2) as [string, string]));
    const name = variables.get('FDNAME') ?? 'stored';
    if (variables.get('FDSTORE') === '1') store.set(name, [...(store.get(name) ?? []), ...fds]);
    if (variables.get('FDSTOREREMOVE') === '1') release(name);
  };

  const next = (): string | undefined => {
    const [text, control] = [Buffer.alloc(MAX_BYTES), Buffer.alloc(MAX_BYTES)];
    const header = {
      name: null,
      nameLength: 0,
      iov: [{ base: text, length: text.length }],
      iovLength: 1,
      control,
      controlLength: control.length,
      flags: 0,
    };
    const length = recvmsg.sync(fd, header, DONTWAIT_CLOEXEC);
    if (length === -1 && lastErrno() === EAGAIN) return undefined;
    if (length === -1) throw new Error(`recvmsg: errno ${lastErrno()}`);
    // struct cmsghdr: length, level, type, descriptors.
    const end = Number(control.readBigUInt64LE(0));
    const fds: number[] = [];
    for (let at = RIGHTS_OFFSET; at < end; at += 4) fds.push(control.readInt32LE(at));
    const message = text.toString('utf8', 0, length);
    obey(message, fds);
    return message;
  };

  return {
    receive() {
      const messages: string[] = [];
      for (let message = next(); message !== undefined; message = next()) messages.push(message);
      return messages;
    },
    stored: () => [...store.keys()],
    close() {
      for (const name of [...store.keys()]) release(name);
      closeSync(fd);
    },
  };
}
