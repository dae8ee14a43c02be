import { CriError } from '../base/errors.js';

/** The sources of the program and its working directory, for messages: `config.command`, `WORKDIR of the image`. */
export interface Origins {
  readonly program: string;
  readonly directory: string;
}

/** Messages of runc and crun for a program that is missing or cannot be executed. */
const NOT_RUNNABLE =
  /executable file .*not found|exec: ".*": (stat .*: )?(no such file or directory|permission denied|is a directory|exec format error)/i;
const NO_DIRECTORY = /chdir to cwd .*/i;

/** Rethrows a failed start. A program or directory that cannot be used becomes INVALID_ARGUMENT with its origin. */
export const asBadCommand =
  ({ program, directory }: Origins) =>
  (thrown: unknown): never => {
    const error = CriError.from(thrown);
    if (error.code !== 'UNKNOWN') throw error;
    if (NO_DIRECTORY.test(error.message)) throw blame(directory, error);
    if (NOT_RUNNABLE.test(error.message)) throw blame(program, error);
    throw error;
  };

const blame = (origin: string, error: CriError): CriError =>
  new CriError('INVALID_ARGUMENT', `${origin}: ${error.message}`, { cause: error });
