import { CriError } from '../base/errors.js';
import type { Logger } from '../base/log.js';
import type { Config } from '../config/schema.js';
import type { Containerd } from '../containerd/containerd.js';
import { runtimeOptions } from '../containerd/runtime-options.js';

/** What a runtime handler can do. */
export interface HandlerFeatures {
  readonly recursiveReadOnlyMounts: boolean;
  readonly userNamespaces: boolean;
}

/** The document that `runc features` prints (OCI runtime spec, features.md), as far as it is asked. */
interface OciFeatures {
  readonly mountOptions?: readonly string[];
}

/** Asks containerd once what each handler's runtime can do; one that does not say can do nothing special. */
export async function handlerFeatures(
  config: Config,
  containerd: Pick<Containerd, 'introspection'>,
  log: Logger,
): Promise<ReadonlyMap<string, HandlerFeatures>> {
  const asked = Object.entries(config.runtime.containerd.runtimes).map(async ([name, handler]) => {
    try {
      const features = (await containerd.introspection.runtimeFeatures({
        name: handler.runtime_type,
        ...(handler.runtime_path ? { path: handler.runtime_path } : {}),
        options: runtimeOptions(handler.runtime_type, handler.options),
      })) as OciFeatures | undefined;
      return [
        name,
        { recursiveReadOnlyMounts: features?.mountOptions?.includes('rro') ?? false, userNamespaces: false },
      ] as const;
    } catch (thrown) {
      log.info({ handler: name, err: CriError.from(thrown).message }, 'runtime does not tell its features');
      return [name, { recursiveReadOnlyMounts: false, userNamespaces: false }] as const;
    }
  });
  return new Map(await Promise.all(asked));
}
