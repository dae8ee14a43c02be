import type { ContainerConfig } from '../../generated/runtime/v1/api.js';
import type { ImageConfig } from './image-config.js';

/** What every container has when neither the image nor the request says otherwise. */
export const DEFAULT_PATH = '/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin';

/**
 * The environment of a container: PATH, TERM (tty), HOSTNAME, the image's, the request's. A later value takes the
 * place of an earlier one of the same name; every name occurs once. `base` is what a base spec brings along.
 */
export function containerEnv(input: {
  readonly config: Pick<ContainerConfig, 'envs' | 'tty'>;
  readonly image: ImageConfig;
  readonly hostname: string;
  readonly base?: readonly string[];
}): string[] {
  const { config, image, hostname, base = [] } = input;
  return mergedEnv([
    ...base,
    `PATH=${DEFAULT_PATH}`,
    ...(config.tty ? ['TERM=xterm'] : []),
    `HOSTNAME=${hostname}`,
    ...(image.config?.Env ?? []),
    ...config.envs.map(({ key, value }) => `${key}=${Buffer.from(value).toString('utf8')}`),
  ]);
}

/** `NAME=value` lines, later ones in the place of earlier ones; a line without `=` removes the name. */
export function mergedEnv(lines: readonly string[]): string[] {
  const byName = new Map<string, string>();
  for (const line of lines) {
    const end = line.indexOf('=');
    if (end < 0) byName.delete(line);
    else byName.set(line.slice(0, end), line);
  }
  return [...byName.values()];
}
