import { CriError, type CodeName } from '../base/errors.js';
import type { Logger } from '../base/log.js';
import { snapshotterOf } from '../config/runtime-handler.js';
import type { Config } from '../config/schema.js';
import type { Containerd } from '../containerd/containerd.js';
import { runtimeOptions } from '../containerd/runtime-options.js';
import { NO_FEATURES, type RuntimeFeatures } from '../spec/types.js';

/** The features of a runtime handler. */
export interface HandlerFeatures {
  readonly recursiveReadOnlyMounts: boolean;
  readonly userNamespaces: boolean;
  readonly cgroupNamespaces: boolean;
  readonly runtime: RuntimeFeatures;
}

/** The fields that crid reads of the document that `runc features` prints (OCI runtime spec, features.md). */
interface OciFeatures {
  readonly mountOptions?: readonly string[];
  readonly linux?: {
    readonly namespaces?: readonly string[];
    readonly mountExtensions?: { readonly idmap?: { readonly enabled?: boolean } };
    readonly netDevices?: { readonly enabled?: boolean };
    readonly memoryPolicy?: { readonly modes?: readonly string[]; readonly flags?: readonly string[] };
    readonly intelRdt?: { readonly enabled?: boolean; readonly schemata?: boolean; readonly monitoring?: boolean };
  };
}

/**
 * Asks containerd once for the features of each handler's runtime; a runtime that does not report any has none. A pod's
 * user namespace also needs a snapshotter that shows files with other owners (its capability `remap-ids`). If `strict`,
 * throws when containerd does not respond in time; otherwise the handler has no features until the next reload.
 */
export async function handlerFeatures(
  config: Config,
  containerd: Pick<Containerd, 'introspection'>,
  log: Logger,
  { strict }: { readonly strict: boolean },
): Promise<ReadonlyMap<string, HandlerFeatures>> {
  const snapshotters = await containerd.introspection.plugins(['type==io.containerd.snapshotter.v1']);
  const remapping = new Set(
    snapshotters.filter(({ capabilities }) => capabilities.includes('remap-ids')).map(({ id }) => id),
  );
  const asked = Object.entries(config.runtime.containerd.runtimes).map(async ([name, handler]) => {
    try {
      const features = (await containerd.introspection.runtimeFeatures({
        name: handler.runtime_type,
        ...(handler.runtime_path ? { path: handler.runtime_path } : {}),
        options: runtimeOptions(handler.runtime_type, handler.options),
      })) as OciFeatures | undefined;
      const { namespaces = [], mountExtensions } = features?.linux ?? {};
      return [
        name,
        {
          recursiveReadOnlyMounts: features?.mountOptions?.includes('rro') ?? false,
          userNamespaces:
            namespaces.includes('user') &&
            mountExtensions?.idmap?.enabled === true &&
            remapping.has(snapshotterOf(config, handler)),
          cgroupNamespaces: namespaces.includes('cgroup'),
          runtime: runtimeFeatures(features?.linux),
        },
      ] as const;
    } catch (thrown) {
      const error = CriError.from(thrown);
      if (strict && NO_RESPONSE.includes(error.code)) throw error.prefixed(`features of the runtime handler "${name}"`);
      log.info({ handler: name, err: error.message }, 'runtime does not report its features');
      return [name, NONE] as const;
    }
  });
  return new Map(await Promise.all(asked));
}

/** The codes of a call that containerd has not answered. */
const NO_RESPONSE: readonly CodeName[] = ['UNAVAILABLE', 'DEADLINE_EXCEEDED', 'CANCELLED'];

const NONE: HandlerFeatures = {
  recursiveReadOnlyMounts: false,
  userNamespaces: false,
  cgroupNamespaces: false,
  runtime: NO_FEATURES,
};

const runtimeFeatures = ({ netDevices, memoryPolicy, intelRdt }: OciFeatures['linux'] = {}): RuntimeFeatures => ({
  netDevices: netDevices?.enabled === true,
  memoryPolicy: { modes: memoryPolicy?.modes ?? [], flags: memoryPolicy?.flags ?? [] },
  rdt: {
    enabled: intelRdt?.enabled === true,
    schemata: intelRdt?.schemata === true,
    monitoring: intelRdt?.monitoring === true,
  },
});
