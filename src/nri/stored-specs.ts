import { isCode } from '../base/errors.js';
import type { Containerd } from '../containerd/containerd.js';
import type { OciSpec } from '../spec/oci.js';
import { parseSpec } from '../spec/spec-json.js';
import type { Container, Pod } from '../state/records.js';

/**
 * The specs in the records of containerd, of which the messages for plugins are made. Each is undefined when containerd
 * has no such record any more, or one without a spec.
 */
export interface StoredSpecs {
  /** The spec of the pause container is read once: crid does not change it. */
  ofPod(pod: Pod, signal: AbortSignal): Promise<PodSpec | undefined>;
  /**
   * The spec of a container that is not started yet is read again only after an update of its resources. Specs of
   * the last `MAX_KEPT` such containers are kept.
   */
  ofContainer(container: Container, signal: AbortSignal): Promise<OciSpec | undefined>;
}

/** The parts of a pod's spec that are in its message. */
export interface PodSpec {
  readonly annotations?: OciSpec['annotations'];
  readonly linux?: Pick<OciSpec['linux'], 'namespaces' | 'resources'>;
}

/** A spec is about 20 KB in memory. Several calls need it between the create and the start, mostly within a second. */
const MAX_KEPT = 32;

export function createStoredSpecs({ containers }: Pick<Containerd, 'containers'>): StoredSpecs {
  const ofPods = new WeakMap<Pod['config'], PodSpec>();
  /** By the id of the container, with its resources at that time: an update makes new ones. */
  const kept = new Map<string, { readonly resources: Container['resources']; readonly spec: OciSpec }>();

  const read = async (id: string, signal: AbortSignal): Promise<OciSpec | undefined> => {
    try {
      const { spec } = await containers.get(id, { signal });
      return spec && parseSpec(spec);
    } catch (thrown) {
      if (isCode(thrown, 'NOT_FOUND')) return undefined;
      throw thrown;
    }
  };
  const keep = (id: string, entry: { resources: Container['resources']; spec: OciSpec }): void => {
    kept.delete(id);
    kept.set(id, entry);
    const [oldest] = kept.keys();
    if (kept.size > MAX_KEPT && oldest !== undefined) kept.delete(oldest);
  };

  return {
    async ofPod({ id, config }, signal) {
      const known = ofPods.get(config);
      if (known) return known;
      const spec = await read(id, signal);
      if (!spec) return undefined;
      const parts = partsOf(spec);
      ofPods.set(config, parts);
      return parts;
    },
    async ofContainer({ id, resources, state }, signal) {
      const found = kept.get(id);
      const isCreated = state.phase === 'created';
      if (!isCreated) kept.delete(id);
      if (found && found.resources === resources) return found.spec;
      const spec = await read(id, signal);
      if (spec && isCreated) keep(id, { resources, spec });
      return spec;
    },
  };
}

const partsOf = ({ annotations, linux }: Partial<OciSpec>): PodSpec => ({
  ...(annotations && { annotations }),
  ...(linux && { linux: { namespaces: linux.namespaces, resources: linux.resources } }),
});
