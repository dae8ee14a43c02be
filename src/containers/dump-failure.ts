import { readFile } from 'node:fs/promises';
import { CriError } from '../base/errors.js';

/**
 * Why a dump has failed, in words that help: that the runtime finds no CRIU that it can use, or what CRIU itself says in
 * its log. FAILED_PRECONDITION for these; any other failure as it is.
 */
export async function dumpFailure(thrown: unknown, logPath: string): Promise<CriError> {
  const error = CriError.from(thrown);
  if (error.code !== 'UNKNOWN') return error;
  const said = lastErrors(await readFile(logPath, 'utf8').catch(() => ''));
  if (said !== undefined) return new CriError('FAILED_PRECONDITION', `criu cannot dump it: ${said}`, { cause: error });
  if (!NO_CRIU.test(error.message)) return error;
  return new CriError(
    'FAILED_PRECONDITION',
    `the runtime finds no criu that it can use in the PATH of containerd: ${error.message}`,
    {
      cause: error,
    },
  );
}

/** runc looks for the program, and then asks for its version. */
const NO_CRIU = /criu.*(not found|no such file|version)|(not found|no such file|version).*criu/is;

/**
 * The last errors but the verdict, oldest first: `(00.012345)     42: Error (criu/files-reg.c:1710): Can't …`. What
 * comes after the cause tells what was given up for it, and errors long before it did not stop the dump.
 */
function lastErrors(log: string): string | undefined {
  const errors = [...log.matchAll(/^\([\d.]+\)\s+(?:\d+: )?Error \([^)]*\): (.*?)\.?$/gm)].map(([, text]) => text);
  const causes = errors.filter((text) => text !== 'Dumping FAILED').slice(-SHOWN_ERRORS);
  return causes.length > 0 ? causes.join('; ') : undefined;
}

const SHOWN_ERRORS = 3;
