import type { PluginInstance } from '../../generated/nri/v1alpha1/api.js';
import { durationMs, type NriConfig } from '../config/schema.js';

/** The policy of the node for one plugin. */
export interface PluginPolicy {
  readonly required: boolean;
  /** A failure of the plugin fails the request, whatever the plugin wants. */
  readonly failsRequests: boolean;
  readonly requestTimeoutMs: number;
  /** The plugin is neither asked about pods of such a namespace, nor required there. */
  exempts(namespace: string): boolean;
}

/** Returns the policy of a plugin: the table of its name with its index, or of its name alone. */
export function policyOf(config: NriConfig, { name, index }: PluginInstance): PluginPolicy {
  const entry = config.plugins[`${index}-${name}`] ?? config.plugins[name];
  const own = entry === undefined || entry.request_timeout === '' ? 0 : durationMs(entry.request_timeout);
  return {
    required: entry?.required ?? false,
    failsRequests: entry?.failure_policy === 'fail',
    requestTimeoutMs: own || durationMs(config.plugin_request_timeout),
    exempts: (namespace) => entry?.exempt_namespaces.includes(namespace) ?? false,
  };
}

/** Returns the names of the required plugins that are not among `present`, for a pod in `namespace`. */
export function missingPlugins(
  config: NriConfig,
  present: readonly PluginInstance[],
  namespace: string | undefined,
): string[] {
  const isPresent = (key: string): boolean =>
    present.some(({ name, index }) => key === name || key === `${index}-${name}`);
  return Object.entries(config.plugins).flatMap(([key, { required, exempt_namespaces: exempt }]) =>
    required && !isPresent(key) && (namespace === undefined || !exempt.includes(namespace)) ? [key] : [],
  );
}
