import type { RuntimeCondition, StatusRequest, StatusResponse } from '../../generated/runtime/v1/api.js';
import { CriError } from '../base/errors.js';
import { withoutCredentials } from '../config/redacted.js';
import type { Config } from '../config/schema.js';
import type { Containerd } from '../containerd/containerd.js';
import type { Network } from '../network/network.js';
import type { Operations } from '../operation/operation.js';
import type { HandlerFeatures } from './features.js';
import { stringifyGoJson } from '../state/go-json.js';

const PROBE_TIMEOUT_MS = 2_000;

export interface StatusDeps {
  readonly config: Config;
  readonly containerd: Containerd;
  readonly network: Network;
  readonly operations: Operations;
  readonly features: ReadonlyMap<string, HandlerFeatures>;
  /** What crid itself has to report, such as a second CRI server in its namespace. */
  readonly warnings: readonly string[];
}

/** CRI Status: is containerd there, is the network; `info` has the config in force, without credentials, and every running operation. */
export const status =
  (deps: StatusDeps) =>
  async (request: StatusRequest): Promise<StatusResponse> => {
    const [runtime, network] = await Promise.all([runtimeCondition(deps.containerd), deps.network.status()]);
    const conditions = [
      runtime,
      condition(
        'NetworkReady',
        network.ready,
        'NetworkPluginNotReady',
        `Network plugin returns error: ${network.message}`,
      ),
      condition('NoRuntimeConflict', deps.warnings.length === 0, 'SharedNamespace', deps.warnings.join('; ')),
    ];
    const info = request.verbose
      ? {
          config: stringifyGoJson(withoutCredentials(deps.config)),
          cniconfig: stringifyGoJson(network.config ?? null),
          lastCNILoadStatus: network.lastLoadError || 'OK',
          operations: stringifyGoJson(deps.operations.list()),
        }
      : {};
    return {
      status: { conditions },
      info,
      runtime_handlers: runtimeHandlers(deps.config, deps.features),
      features: { supplemental_groups_policy: true, user_namespaces_host_network: true },
    };
  };

async function runtimeCondition(containerd: Containerd): Promise<RuntimeCondition> {
  try {
    await containerd.introspection.version({ timeoutMs: PROBE_TIMEOUT_MS });
    return condition('RuntimeReady', true, '', '');
  } catch (thrown) {
    return condition('RuntimeReady', false, 'ContainerdNotReachable', CriError.from(thrown).message);
  }
}

const condition = (type: string, ok: boolean, reason: string, message: string): RuntimeCondition =>
  ok ? { type, status: true, reason: '', message: '' } : { type, status: false, reason, message };

/** Sorted by name; the default handler stands there once more under the empty name. */
function runtimeHandlers(
  config: Config,
  features: ReadonlyMap<string, HandlerFeatures>,
): StatusResponse['runtime_handlers'] {
  const { runtimes, default_runtime_name } = config.runtime.containerd;
  return ['', ...Object.keys(runtimes).sort()].map((name) => {
    const known = features.get(name || default_runtime_name);
    return {
      name,
      features: {
        recursive_read_only_mounts: known?.recursiveReadOnlyMounts ?? false,
        user_namespaces: known?.userNamespaces ?? false,
      },
    };
  });
}
