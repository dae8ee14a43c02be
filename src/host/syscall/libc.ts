import koffi, { type LibraryHandle } from 'koffi';
import { constants } from 'node:os';
import { CriError } from '../../base/errors.js';
import { errnoError } from './errno.js';
import { whyMissing } from './kernel-calls.js';

/** A C function that returns -1 and sets errno when it fails. */
export interface SystemCall {
  readonly name: string;
  readonly sync: (...args: unknown[]) => number;
  readonly async: (...args: unknown[]) => Promise<{ result: number; errno: number }>;
}

/** Declares a function of the C library that the process runs on (glibc or musl), such as `int umount2(str, int)`. */
export function systemCall(name: string, args: readonly string[], symbol = name, result = 'int'): SystemCall {
  const bound = library().func(symbol, result, [...args]);
  return {
    name,
    sync: (...values) => Number(bound(...values)),
    async: (...values) =>
      new Promise((resolve, reject) => {
        // errno is per thread; koffi restores the pool thread's value during this callback.
        bound.async(...values, (error: unknown, value: unknown) => {
          if (error) reject(error instanceof Error ? error : new Error(`${name}: ${JSON.stringify(error)}`));
          else resolve({ result: Number(value), errno: koffi.errno() });
        });
      }),
  };
}

/** A call that libc has no wrapper for. Numbers from 424 on are the same on every architecture. */
export const numberedCall = (name: string, args: readonly string[]): SystemCall =>
  systemCall(name, ['long', ...args], 'syscall', 'long');

/** Calls that tests make fail with ENOSYS, as on an older kernel: `CRID_FAULT_ENOSYS=fsopen,openat2`. */
const absent: ReadonlySet<string> = new Set((process.env['CRID_FAULT_ENOSYS'] ?? '').split(',').filter(Boolean));

export const isAbsent = (name: string): boolean => absent.has(name);

/** Calls `fn` on this thread; throws a CriError that names the call and `subject`. */
export function call(fn: SystemCall, subject: string, ...args: unknown[]): number {
  if (isAbsent(fn.name)) throw failure(fn, subject, constants.errno.ENOSYS);
  const result = fn.sync(...args);
  if (result === -1) throw failure(fn, subject, koffi.errno());
  return result;
}

/** The same on a thread of libuv's pool, for calls that may hang on a user's path (NFS, FUSE). */
export async function callAsync(fn: SystemCall, subject: string, ...args: unknown[]): Promise<number> {
  if (isAbsent(fn.name)) throw failure(fn, subject, constants.errno.ENOSYS);
  const { result, errno } = await fn.async(...args);
  if (result === -1) throw failure(fn, subject, errno);
  return result;
}

/** FAILED_PRECONDITION for a call that the kernel does not have: the node is too old for the request. */
function failure(fn: SystemCall, subject: string, errno: number): CriError {
  const error = errnoError(fn.name, subject, errno);
  const why = errno === constants.errno.ENOSYS ? whyMissing(fn.name) : undefined;
  return why === undefined
    ? error
    : new CriError('FAILED_PRECONDITION', `${fn.name} ${subject}: ${why}`, { cause: error });
}

/** Returns errno of the last call on this thread. */
export const lastErrno = (): number => koffi.errno();

let handle: LibraryHandle | undefined;
const library = (): LibraryHandle => (handle ??= koffi.load(null));
