import { closeSync } from 'node:fs';
import { ioctl, socketCall } from '../syscall/common-calls.js';
import { call } from '../syscall/libc.js';
import { inNetns } from './netns.js';

const AF_INET = 2;
const SOCK_DGRAM_CLOEXEC = 2 | 0o2000000;
/** netdevice(7) */
const SIOCGIFFLAGS = 0x8913;
const SIOCSIFFLAGS = 0x8914;
const IFF_UP = 1;
/** struct ifreq: the interface's name, then its flags. */
const IFREQ_BYTES = 40;
const FLAGS_OFFSET = 16;

/** Brings `lo` up in the network namespace at `netnsPath`, as CNI's loopback plugin does, but without a process. */
export function bringUpLoopback(netnsPath: string): void {
  inNetns(netnsPath, () => {
    const fd = call(socketCall, netnsPath, AF_INET, SOCK_DGRAM_CLOEXEC, 0);
    try {
      const request = Buffer.alloc(IFREQ_BYTES);
      request.write('lo', 'latin1');
      call(ioctl, 'lo', fd, SIOCGIFFLAGS, request);
      request.writeUInt16LE(request.readUInt16LE(FLAGS_OFFSET) | IFF_UP, FLAGS_OFFSET);
      call(ioctl, 'lo', fd, SIOCSIFFLAGS, request);
    } finally {
      closeSync(fd);
    }
  });
}
