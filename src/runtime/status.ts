import type { RuntimeCondition, StatusRequest, StatusResponse } from '../../generated/runtime/v1/api.js';
import { CriError } from '../base/errors.js';
import { withoutCredentials } from '../config/redacted.js';
import type { Config } from '../config/schema.js';
import type { Containerd } from '../containerd/containerd.js';
import type { Network } from '../network/network.js';
import type { Operations } from '../operation/operation.js';
import { delegatesCgroups } from '../spec/cgroup-view.js';
import type { HostFacts } from '../spec/types.js';
import type { HandlerFeatures } from './features.js';
import type { Claim } from '../state/claims.js';
import type { Directories } from '../state/directories.js';
import { stringifyGoJson } from '../state/go-json.js';
import { pluginConfig } from './plugin-config.js';

/**
 * More than a busy node takes. When the kubelet hears that containerd is away, it starts nothing, and its node is
 * NotReady.
 */
const PROBE_TIMEOUT_MS = 10_000;
const FRESH_MS = 1_000;

export interface StatusDeps {
  readonly config: Config;
  readonly directories: Pick<Directories, 'root' | 'state'>;
  readonly containerd: Containerd;
  /** Returns the network of the default handler. */
  readonly network: () => Network;
  readonly operations: Operations;
  /** The records of containerd that cannot be read. */
  readonly unreadable: () => readonly Claim[];
  /** The names of the registered NRI plugins; undefined while NRI is off. */
  readonly nriPlugins: (() => readonly string[]) | undefined;
  readonly features: () => ReadonlyMap<string, HandlerFeatures>;
  readonly host: Pick<HostFacts, 'cgroupVersion' | 'cgroupMountOptions'>;
  /** Warnings of crid itself, such as a second CRI server in its namespace. */
  readonly warnings: readonly string[];
}

/**
 * CRI Status: whether containerd and the network are ready. `info` has the configuration in force as containerd's CRI
 * plugin shows it (`config`) and as crid has it, without credentials (`cridConfig`), every running operation, and the
 * NRI plugins.
 */
export const status = (deps: StatusDeps): ((request: StatusRequest) => Promise<StatusResponse>) => {
  const runtimeNow = whileWell(
    () => runtimeCondition(deps),
    ({ status }) => status,
  );
  const networkNow = whileWell(
    () => deps.network().status(),
    ({ ready }) => ready,
  );
  return async (request) => {
    const [runtime, network] = await Promise.all([
      runtimeNow(),
      request.verbose ? deps.network().status() : networkNow(),
    ]);
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
          config: stringifyGoJson(pluginConfig(deps.config, deps.directories)),
          cridConfig: stringifyGoJson(withoutCredentials(deps.config)),
          cniconfig: stringifyGoJson(network.config ?? null),
          lastCNILoadStatus: network.lastLoadError || 'OK',
          // An object, since crictl prints any other JSON as a string full of backslashes.
          operations: stringifyGoJson({ running: deps.operations.list() }),
          ...(deps.nriPlugins && { nri: stringifyGoJson({ plugins: deps.nriPlugins() }) }),
          unreadableRecords: stringifyGoJson({ records: deps.unreadable() }),
        }
      : {};
    return {
      status: { conditions },
      info,
      runtime_handlers: runtimeHandlers(deps.config, deps.features()),
      features: {
        supplemental_groups_policy: true,
        user_namespaces_host_network: true,
        mount_options: true,
        cgroup_mount_mode: delegatesCgroups(deps.host),
        seccomp_profile_oci: true,
      },
    };
  };
};

/** Returns a function that calls `ask`, or repeats its last answer if that was good and is younger than FRESH_MS. */
function whileWell<T>(ask: () => Promise<T>, isWell: (answer: T) => boolean): () => Promise<T> {
  let last: { readonly atMs: number; readonly answer: T } | undefined;
  return async () => {
    if (last && performance.now() - last.atMs < FRESH_MS) return last.answer;
    const answer = await ask();
    last = isWell(answer) ? { atMs: performance.now(), answer } : undefined;
    return answer;
  };
}

async function runtimeCondition({ config, containerd }: StatusDeps): Promise<RuntimeCondition> {
  try {
    await containerd.introspection.version({ timeoutMs: PROBE_TIMEOUT_MS });
    return READY;
  } catch (thrown) {
    const why = `containerd at ${config.grpc.address}: ${CriError.from(thrown).message}`;
    return condition('RuntimeReady', false, 'ContainerdNotReachable', why);
  }
}

const condition = (type: string, ok: boolean, reason: string, message: string): RuntimeCondition =>
  ok ? { type, status: true, reason: '', message: '' } : { type, status: false, reason, message };

const READY = condition('RuntimeReady', true, '', '');

/** Sorted by name; the default handler is listed once more under the empty name. */
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
        cgroup_namespaces: known?.cgroupNamespaces ?? false,
      },
    };
  });
}
