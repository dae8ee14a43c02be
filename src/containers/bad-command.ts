import { CriError } from '../base/errors.js';

/** How runc and crun say that there is nothing to run: a missing file, one that is no program, a missing directory. */
const NOT_RUNNABLE =
  /executable file .*not found|exec: ".*": (stat .*: )?(no such file or directory|permission denied|is a directory|exec format error)|chdir to cwd .*/i;

/** Rethrows a failed start; a command that cannot be run is the caller's mistake and names `field`. */
export const asBadCommand =
  (field: string) =>
  (thrown: unknown): never => {
    const error = CriError.from(thrown);
    if (error.code !== 'UNKNOWN' || !NOT_RUNNABLE.test(error.message)) throw error;
    throw new CriError('INVALID_ARGUMENT', `${field}: ${error.message}`, { cause: error });
  };
