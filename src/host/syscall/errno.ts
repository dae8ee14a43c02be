import { constants } from 'node:os';
import { CriError, type CodeName } from '../../base/errors.js';

/**
 * Makes a CriError of an errno, the call that failed and the path (or pid, or fd) it failed on:
 * `mount /run/x: ENOSPC (no space left on device)`. The cause carries `code` as Node's own errors do.
 */
export function errnoError(call: string, subject: string, errno: number): CriError {
  const name = names.get(errno) ?? `errno ${errno}`;
  return codedError(call, subject, name, Object.assign(new Error(`${call}: ${name}`), { errno, code: name }));
}

/** Makes a CriError of an error of `node:fs`; a CriError is returned as it is. */
export function fsError(thrown: unknown, subject: string): CriError {
  if (thrown instanceof CriError) return thrown;
  const { code, syscall, path } = thrown as NodeJS.ErrnoException;
  if (typeof code !== 'string') return CriError.from(thrown).prefixed(subject);
  return codedError(syscall ?? 'access', path ?? subject, code, thrown);
}

/** Runs `work` and translates its errors; `subject` is for errors that carry no path of their own. */
export async function translated<T>(subject: string, work: () => Promise<T>): Promise<T> {
  try {
    return await work();
  } catch (thrown) {
    throw fsError(thrown, subject);
  }
}

/**
 * Returns the errno's name (`ENOENT`) of an error of `node:fs` or of this module, or of its cause; otherwise undefined.
 */
export function errnoName(thrown: unknown): string | undefined {
  for (let error = thrown, depth = 0; error instanceof Error && depth < 4; error = error.cause, depth += 1) {
    const code = (error as NodeJS.ErrnoException).code;
    if (typeof code === 'string' && code in constants.errno) return code;
  }
  return undefined;
}

const names = new Map(
  Object.entries(constants.errno)
    // Node lists some numbers twice (EWOULDBLOCK, EOPNOTSUPP); the first name stays.
    .reverse()
    .map(([name, errno]) => [errno, name]),
);

const codes: Readonly<Record<string, CodeName>> = {
  ENOENT: 'NOT_FOUND',
  EEXIST: 'ALREADY_EXISTS',
  EPERM: 'PERMISSION_DENIED',
  EACCES: 'PERMISSION_DENIED',
  EINVAL: 'INVALID_ARGUMENT',
  ENOSPC: 'RESOURCE_EXHAUSTED',
  EDQUOT: 'RESOURCE_EXHAUSTED',
  EBUSY: 'FAILED_PRECONDITION',
};

/** The kernel's words, which containerd's errors have too: they tell an operator that a disk is full. */
const words: Readonly<Record<string, string>> = {
  ENOSPC: ' (no space left on device)',
  EDQUOT: ' (disk quota exceeded)',
};

function codedError(call: string, subject: string, name: string, cause: unknown): CriError {
  return new CriError(codes[name] ?? 'INTERNAL', `${call} ${subject}: ${name}${words[name] ?? ''}`, { cause });
}
