import type { OciProcess, OciSpec } from './oci.js';

/**
 * The OCI process of a command in a running container: the container's own process (user, capabilities, limits,
 * environment, working directory) with other arguments. A terminal gets TERM unless the container sets it.
 */
export function execProcess(spec: OciSpec, args: readonly string[], terminal: boolean): OciProcess {
  const own = spec.process;
  const env = own?.env ?? [];
  return {
    ...own,
    cwd: own?.cwd ?? '/',
    user: own?.user ?? { uid: 0, gid: 0 },
    args: [...args],
    env: terminal && !env.some((entry) => entry.startsWith('TERM=')) ? [...env, 'TERM=xterm'] : [...env],
    terminal,
  };
}
