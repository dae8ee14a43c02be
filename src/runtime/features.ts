import { CriError } from '../base/errors.js';
import type { Logger } from '../base/log.js';
import type { Config } from '../config/schema.js';
import type { Containerd } from '../containerd/containerd.js';
import { runtimeOptions } from '../containerd/runtime-options.js';

/** The features of a runtime handler. */
export interface HandlerFeatures {
  readonly recursiveReadOnlyMounts: boolean;
  readonly userNamespaces: boolean;
}

/** The fields that crid reads of the document that `runc features` prints (OCI runtime spec, features.md). */
interface OciFeatures {
  readonly mountOptions?: readonly string[];
  readonly linux?: {
    readonly namespaces?: readonly string[];
    readonly mountExtensions?: { readonly idmap?: { readonly enabled?: boolean } };
  };
}

/**
 * Asks containerd once for the features of each handler's runtime; a runtime that does not report any has none. A pod's
 * user namespace also needs a snapshotter that shows files with other owners (its capability `remap-ids`).
 */
export async function handlerFeatures(
  config: Config,
  containerd: Pick<Containerd, 'introspection'>,
  log: Logger,
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
            remapping.has(handler.snapshotter || config.images.snapshotter),
        },
      ] as const;
    } catch (thrown) {
      log.info({ handler: name, err: CriError.from(thrown).message }, 'runtime does not report its features');
      return [name, { recursiveReadOnlyMounts: false, userNamespaces: false }] as const;
    }
  });
  return new Map(await Promise.all(asked));
}
