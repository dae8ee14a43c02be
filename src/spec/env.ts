import type { ContainerConfig } from '../../generated/runtime/v1/api.js';
import type { ImageConfig } from './image-config.js';

/** The PATH of a container if neither the image nor the request sets one. */
export const DEFAULT_PATH = '/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin';

/**
 * Returns the environment of a container, from these sources in order: base spec (`base`), PATH, TERM (with a tty),
 * HOSTNAME, image, request. A later value replaces an earlier one of the same name, so every name occurs once.
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

/** Merges `NAME=value` lines: a later line replaces an earlier one; a line without `=` removes the name. */
export function mergedEnv(lines: readonly string[]): string[] {
  const byName = new Map<string, string>();
  for (const line of lines) {
    const end = line.indexOf('=');
    if (end < 0) byName.delete(line);
    else byName.set(line.slice(0, end), line);
  }
  return [...byName.values()];
}
