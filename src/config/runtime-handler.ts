import { invalidArgument } from '../base/errors.js';
import type { Config, RuntimeHandler } from './options.js';

/**
 * The runtime that a pod's `runtime_handler` (RunPodSandboxRequest) names, "" being the default one. Throws
 * INVALID_ARGUMENT when none goes by that name.
 */
export function runtimeHandler({ runtime: { containerd } }: Config, name: string): RuntimeHandler {
  const wanted = name === '' ? containerd.default_runtime_name : name;
  const handler = Object.hasOwn(containerd.runtimes, wanted) ? containerd.runtimes[wanted] : undefined;
  if (!handler) throw invalidArgument('runtime_handler', `no runtime for ${JSON.stringify(wanted)} is configured`);
  return handler;
}
