import { NamespaceMode, type NamespaceOption } from '../../generated/runtime/v1/api.js';

/**
 * How the pods of the tests are run: `CRID_SANDBOXER=pinned` runs all tests with pods that have no sandbox process.
 * Pods and containers then have process namespaces of their own where a test does not say otherwise, as a kubelet
 * asks: the default of the CRI, one namespace for a pod, needs a pause container.
 */
export const SANDBOXER = process.env['CRID_SANDBOXER'] ?? '';
export const IS_PINNED = SANDBOXER === 'pinned';

/** The part of a pod's configuration by which it has a pause container however the tests run. */
export const SHARED_PIDS = { linux: { security_context: { namespace_options: { pid: NamespaceMode.POD } } } };

interface Linux {
  security_context?: { namespace_options?: Partial<Pick<NamespaceOption, 'pid'>> | undefined } | undefined;
}

/** Returns the `linux` part of a pod's or container's configuration, with the mode of its process namespace. */
export function withOwnPids<T extends Linux>(linux: T | undefined): T {
  const given = linux ?? ({} as T);
  if (!IS_PINNED || given.security_context?.namespace_options?.pid !== undefined) return given;
  return {
    ...given,
    security_context: {
      ...given.security_context,
      namespace_options: { ...given.security_context?.namespace_options, pid: NamespaceMode.CONTAINER },
    },
  };
}

/**
 * Returns crid's configuration with this sandboxer for the handlers that name none. `handlers` are those of
 * containerd's configuration.
 */
export function withSandboxer(
  config: Readonly<Record<string, object>> = {},
  handlers: readonly string[] = ['runc'],
): Readonly<Record<string, object>> {
  if (SANDBOXER === '') return config;
  const runtime = (config['runtime'] ?? {}) as { containerd?: { runtimes?: Record<string, object> } };
  const runtimes = { ...Object.fromEntries(handlers.map((name) => [name, {}])), ...runtime.containerd?.runtimes };
  const chosen = Object.entries(runtimes).map(([name, handler]) => [name, { sandboxer: SANDBOXER, ...handler }]);
  const containerd = { ...runtime.containerd, runtimes: Object.fromEntries(chosen) as object };
  return { ...config, runtime: { ...runtime, containerd } };
}
