import type { OciProcess } from './oci.js';
import { mergedEnv } from './env.js';

/** The OCI process of a command in a container: the container's own user, environment and limits, another command. */
export function execProcess(init: OciProcess, command: readonly string[], tty: boolean): OciProcess {
  const { terminal: _terminal, consoleSize: _consoleSize, ...process } = init;
  return {
    ...process,
    ...(tty && { terminal: true }),
    args: [...command],
    env: tty ? mergedEnv([...(process.env ?? []), 'TERM=xterm']) : (process.env ?? []),
  };
}
