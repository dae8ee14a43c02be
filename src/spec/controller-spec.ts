import { z } from 'zod';
import { parseExactJson } from '../base/exact-json.js';
import { CriError } from '../base/errors.js';
import type { Any } from '../containerd/containerd.js';
import type { OciMount, OciNamespaceType } from './oci.js';

/** The requirements that a sandbox controller has of the containers of its sandbox. */
export interface ControllerSpec {
  /** The paths of the sandbox's namespaces. They replace those of its process, which it need not have. */
  readonly namespaces: ReadonlyMap<OciNamespaceType, string>;
  /** Bind mounts. They replace the pod's files of the same path. */
  readonly mounts: readonly OciMount[];
}

/**
 * Reads the OCI spec that a sandbox controller returns at a start (ControllerStartResponse.spec). A namespace without a
 * path and a mount other than a bind mount stand for what each container has of its own. INTERNAL, with `owner`, for
 * anything but a spec.
 */
export function controllerSpec(spec: Any, owner: string): ControllerSpec {
  const { linux, mounts } = parsed(spec, owner);
  const paths = (linux?.namespaces ?? []).flatMap(({ type, path }) => (path ? [[type, path] as const] : []));
  return {
    namespaces: new Map(paths as [OciNamespaceType, string][]),
    mounts: (mounts ?? []).filter(isBind).map(withoutNulls),
  };
}

const schema = z.object({
  mounts: z
    .array(
      z.object({
        destination: z.string().startsWith('/'),
        type: z.string().nullish(),
        source: z.string().nullish(),
        options: z.array(z.string()).nullish(),
      }),
    )
    .nullish(),
  linux: z
    .object({ namespaces: z.array(z.object({ type: z.string(), path: z.string().nullish() })).nullish() })
    .nullish(),
});

type Mount = NonNullable<z.infer<typeof schema>['mounts']>[number];

function parsed({ value }: Any, owner: string): z.infer<typeof schema> {
  try {
    return schema.parse(parseExactJson(new TextDecoder().decode(value)));
  } catch (cause) {
    const [issue] = cause instanceof z.ZodError ? cause.issues : [];
    const problem = issue ? `${issue.path.join('.')}: ${issue.message}` : String(cause);
    throw new CriError('INTERNAL', `${owner}: the spec for its containers cannot be read: ${problem}`, { cause });
  }
}

const isBind = ({ type, options }: Mount): boolean =>
  type === 'bind' || (options ?? []).some((option) => option === 'bind' || option === 'rbind');

const withoutNulls = ({ destination, source, options }: Mount): OciMount => ({
  destination,
  type: 'bind',
  ...(source && { source }),
  options: options && options.length > 0 ? options : ['rbind'],
});
