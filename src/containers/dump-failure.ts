import { readFile } from 'node:fs/promises';
import { CriError } from '../base/errors.js';

/**
 * Explains why a dump has failed: the runtime found no usable CRIU, or the errors in CRIU's own log.
 * FAILED_PRECONDITION for these; returns any other failure as it is.
 */
export async function dumpFailure(thrown: unknown, logPath: string): Promise<CriError> {
  const error = CriError.from(thrown);
  if (error.code !== 'UNKNOWN') return error;
  const said = lastErrors(await readFile(logPath, 'utf8').catch(() => ''));
  if (said !== undefined)
    return new CriError('FAILED_PRECONDITION', `criu cannot dump the container: ${said}`, { cause: error });
  if (!NO_CRIU.test(error.message)) return error;
  return new CriError(
    'FAILED_PRECONDITION',
    `the runtime finds no usable criu in the PATH of containerd: ${error.message}`,
    {
      cause: error,
    },
  );
}

/** runc looks for the program and then asks for its version; either can fail. */
const NO_CRIU = /criu.*(not found|no such file|version)|(not found|no such file|version).*criu/is;

/**
 * Returns the last errors of CRIU's log, oldest first, without the final `Dumping FAILED`. A line is
 * `(00.012345)     42: Error (criu/files-reg.c:1710): Can't …`. The errors after the cause are its consequences; errors
 * long before it did not stop the dump.
 */
function lastErrors(log: string): string | undefined {
  const errors = [...log.matchAll(/^\([\d.]+\)\s+(?:\d+: )?Error \([^)]*\): (.*?)\.?$/gm)].map(([, text]) => text);
  const causes = errors.filter((text) => text !== 'Dumping FAILED').slice(-SHOWN_ERRORS);
  return causes.length > 0 ? causes.join('; ') : undefined;
}

const SHOWN_ERRORS = 3;
