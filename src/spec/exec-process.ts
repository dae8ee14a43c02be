import type { OciProcess, OciSpec } from './oci.js';
import { mergedEnv } from './env.js';

/** The OCI process of a command in a container: the container's own user, environment and limits, another command. */
export function execProcess(spec: OciSpec, command: readonly string[], tty: boolean): OciProcess {
  const { terminal: _terminal, consoleSize: _consoleSize, ...process } = spec.process;
  return {
    ...process,
    ...(tty && { terminal: true }),
    args: [...command],
    env: tty ? mergedEnv([...(process.env ?? []), 'TERM=xterm']) : (process.env ?? []),
  };
}
