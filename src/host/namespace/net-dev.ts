import { isCode } from '../../base/errors.js';
import { readKernelFile } from '../files/kernel-files.js';
import { inNetns } from './netns.js';

/** Traffic counters of a network interface since it was made. */
export interface InterfaceUsage {
  readonly name: string;
  readonly rxBytes: bigint;
  readonly rxPackets: bigint;
  readonly rxErrors: bigint;
  readonly rxDropped: bigint;
  readonly txBytes: bigint;
  readonly txPackets: bigint;
  readonly txErrors: bigint;
  readonly txDropped: bigint;
}

/** Returns every interface of the network namespace of `pid`, including `lo`. Undefined: no such process. */
export function interfacesOf(pid: number): InterfaceUsage[] | undefined {
  const text = readKernelFile(`/proc/${pid}/net/dev`);
  return text === undefined ? undefined : parseNetDev(text);
}

/** The same of the network namespace at `netnsPath`, which need not have a process. Undefined: no such namespace. */
export function interfacesIn(netnsPath: string): InterfaceUsage[] | undefined {
  try {
    return parseNetDev(inNetns(netnsPath, () => readKernelFile('/proc/thread-self/net/dev')) ?? '');
  } catch (thrown) {
    // INVALID_ARGUMENT: a file whose namespace has been unmounted.
    if (isCode(thrown, 'NOT_FOUND') || isCode(thrown, 'INVALID_ARGUMENT')) return undefined;
    throw thrown;
  }
}

/** Parses proc_pid_net(5): `eth0: 1 2 3 …`, with eight fields for received and eight for sent traffic. */
export function parseNetDev(text: string): InterfaceUsage[] {
  return text.split('\n').flatMap((line) => {
    const colon = line.lastIndexOf(':');
    const values = line
      .slice(colon + 1)
      .trim()
      .split(/\s+/);
    if (colon < 0 || values.length < 16 || !values.every((value) => /^\d+$/.test(value))) return [];
    const at = (index: number): bigint => BigInt(values[index]!);
    return [
      {
        name: line.slice(0, colon).trim(),
        rxBytes: at(0),
        rxPackets: at(1),
        rxErrors: at(2),
        rxDropped: at(3),
        txBytes: at(8),
        txPackets: at(9),
        txErrors: at(10),
        txDropped: at(11),
      },
    ];
  });
}
