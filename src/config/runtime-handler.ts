import { invalidArgument } from '../base/errors.js';
import type { Config, RuntimeHandler } from './options.js';

/** Returns the snapshotter of a handler's pods. */
export const snapshotterOf = (
  { images }: Pick<Config, 'images'>,
  handler: Pick<RuntimeHandler, 'snapshotter'>,
): string => handler.snapshotter || images.snapshotter;

/**
 * Returns the runtime handler that RunPodSandboxRequest.runtime_handler names. "" is the default handler. Throws
 * INVALID_ARGUMENT when there is no handler of that name.
 */
export function runtimeHandler({ runtime: { containerd } }: Config, name: string): RuntimeHandler {
  const wanted = name === '' ? containerd.default_runtime_name : name;
  const handler = Object.hasOwn(containerd.runtimes, wanted) ? containerd.runtimes[wanted] : undefined;
  if (!handler) throw invalidArgument('runtime_handler', `no runtime for ${JSON.stringify(wanted)} is configured`);
  return handler;
}
