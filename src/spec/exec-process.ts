import type { OciProcess } from './oci.js';
import { mergedEnv } from './env.js';

/** Returns the OCI process of an exec: the user, environment and limits of the container, with another command. */
export function execProcess(init: OciProcess, command: readonly string[], tty: boolean): OciProcess {
  const { terminal: _terminal, consoleSize: _consoleSize, ...process } = init;
  return {
    ...process,
    ...(tty && { terminal: true }),
    args: [...command],
    env: tty ? mergedEnv([...(process.env ?? []), 'TERM=xterm']) : (process.env ?? []),
  };
}
