import { invalidArgument } from '../base/errors.js';

/**
 * Checks an ExecRequest or AttachRequest: at least one stream, and no stderr with a terminal (CRI). INVALID_ARGUMENT
 * names the field.
 */
export function checkStreams(request: {
  readonly stdin: boolean;
  readonly stdout: boolean;
  readonly stderr: boolean;
  readonly tty: boolean;
}): void {
  if (request.tty && request.stderr)
    throw invalidArgument('stderr', 'must be false with tty: a terminal has one output');
  if (!request.stdin && !request.stdout && !request.stderr) {
    throw invalidArgument('stdin', 'one of stdin, stdout and stderr must be true');
  }
}
