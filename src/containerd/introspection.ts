import { IntrospectionDefinition } from '../../generated/containerd/services/introspection/v1/introspection.js';
import { VersionDefinition } from '../../generated/containerd/services/version/v1/version.js';
import { RuntimeInfo, RuntimeRequest } from '../../generated/containerd/types/introspection.js';
import { CriError } from '../base/errors.js';
import { anyOf, wireAny } from './any.js';
import { withOptions, type ClientOf } from './connection.js';
import type { Introspection } from './containerd.js';

export function createIntrospection(clientOf: ClientOf): Introspection {
  const version = clientOf(VersionDefinition);
  const client = clientOf(IntrospectionDefinition);
  return {
    version: (options) => version.version({}, withOptions(options)),

    plugins: async (filters, options) => {
      const { plugins } = await client.plugins({ filters: [...filters] }, withOptions(options));
      return plugins.map(({ type, id, exports, capabilities, init_err }) => ({
        type,
        id,
        exports,
        capabilities,
        initError: init_err?.message ?? '',
        initCode: init_err?.code ?? 0,
      }));
    },

    server: async (options) => {
      const { uuid, deprecations } = await client.server({}, withOptions(options));
      return { uuid, deprecations: deprecations.map(({ id, message }) => ({ id, message })) };
    },

    runtimeFeatures: async (runtime, options) => {
      const request = RuntimeRequest.fromPartial({
        // containerd accepts a path or a name such as io.containerd.runc.v2 here.
        runtime_path: runtime.path !== undefined && runtime.path !== '' ? runtime.path : runtime.name,
        options: wireAny(runtime.options),
      });
      const { extra } = await client.pluginInfo(
        {
          type: 'io.containerd.runtime.v2',
          id: 'task',
          options: wireAny(anyOf('containerd.types.RuntimeRequest', RuntimeRequest.encode(request).finish())),
        },
        { ...withOptions(options), subject: runtime.name },
      );
      return extra && featuresOf(RuntimeInfo.decode(extra.value), runtime.name);
    },
  };
}

/** Returns undefined for a runtime that reports none. INTERNAL for features that are not JSON. */
function featuresOf({ features }: RuntimeInfo, runtime: string): unknown {
  if (features === undefined || features.value.length === 0) return undefined;
  try {
    return JSON.parse(features.value.toString('utf8')) as unknown;
  } catch (cause) {
    throw new CriError(
      'INTERNAL',
      `introspection.runtimeFeatures: runtime "${runtime}" reports its features as ${features.type_url} instead of JSON`,
      { cause },
    );
  }
}
