import type { ContainerConfig } from '../../generated/runtime/v1/api.js';
import { CriError, invalidArgument } from '../base/errors.js';
import { fromRoot } from './clean-path.js';
import type { ImageConfig } from './image-config.js';

/**
 * Returns the command of a container (CRI ContainerConfig.command and .args). `command` replaces the image's entrypoint
 * and its Cmd; `args` replaces only Cmd. INVALID_ARGUMENT when the result is empty.
 */
export function containerArgs(config: Pick<ContainerConfig, 'command' | 'args'>, image: ImageConfig): string[] {
  const { command, args } = config;
  const chosen =
    command.length > 0
      ? [...command, ...args]
      : [...entrypointOf(image), ...(args.length > 0 ? args : (image.config?.Cmd ?? []))];
  if (chosen.length === 0) throw invalidArgument('config.command', 'neither the request nor the image names a command');
  return chosen;
}

/** The command of the pause image; FAILED_PRECONDITION when it has none. */
export function pauseArgs(image: ImageConfig, imageName: string): string[] {
  const args = [...(image.config?.Entrypoint ?? []), ...(image.config?.Cmd ?? [])];
  if (args.length === 0) {
    throw new CriError('FAILED_PRECONDITION', `pause image ${imageName}: neither an entrypoint nor a command`);
  }
  return args;
}

/** For messages: the field of the request or the part of the image that sets the container's program. */
export function programOrigin(config: Pick<ContainerConfig, 'command' | 'args'>, image: ImageConfig): string {
  if (config.command.length > 0) return 'config.command';
  if (entrypointOf(image).length > 0) return 'ENTRYPOINT of the image';
  return config.args.length > 0 ? 'config.args' : 'CMD of the image';
}

/** For messages: the field of the request or the part of the image that sets the working directory. */
export const directoryOrigin = (config: Pick<ContainerConfig, 'working_dir'>): string =>
  config.working_dir === '' ? 'WORKDIR of the image' : 'config.working_dir';

/** The request's working directory, else the image's, else `/`; always absolute. */
export function workingDirectory(workingDir: string, image: ImageConfig): string {
  return fromRoot(workingDir || image.config?.WorkingDir || '/');
}

/** A Dockerfile removes an inherited entrypoint with `ENTRYPOINT [""]`. */
function entrypointOf(image: ImageConfig): readonly string[] {
  const entrypoint = image.config?.Entrypoint ?? [];
  return entrypoint.length === 1 && entrypoint[0] === '' ? [] : entrypoint;
}
