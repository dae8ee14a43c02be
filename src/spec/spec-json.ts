import { stringify } from 'lossless-json';
import { parseExactJson } from '../base/exact-json.js';
import { anyOf, PROCESS_TYPE_URL, RESOURCES_TYPE_URL, SPEC_TYPE_URL } from '../containerd/any.js';
import type { Any } from '../containerd/containerd.js';
import type { OciProcess, OciResources, OciSpec } from './oci.js';
import type { PinnedSpec } from './pinned-spec.js';

/** A spec, or a part of one, as JSON. A bigint becomes a number; undefined members are left out. */
export const specToJson = (spec: object): string => stringify(spec) ?? 'null';

/** The spec as containerd stores it in a container record. */
export const specAny = (spec: OciSpec | PinnedSpec): Any => jsonAny(SPEC_TYPE_URL, spec);

/** The process of an exec, for Tasks.Exec. */
export const processAny = (process: OciProcess): Any => jsonAny(PROCESS_TYPE_URL, process);

/** The resources of an update, for Tasks.Update. */
export const resourcesAny = (resources: OciResources): Any => jsonAny(RESOURCES_TYPE_URL, resources);

/** Parses the spec of a container record. Throws a SyntaxError. */
export const parseSpec = (any: Pick<Any, 'value'>): OciSpec => specFromJson(new TextDecoder().decode(any.value));

/** Parses a spec. Integers beyond 2^53 and fields of the type bigint become bigint. Throws a SyntaxError. */
function specFromJson(text: string): OciSpec {
  const spec = parseExactJson(text) as OciSpec;
  if (spec.linux?.resources) spec.linux.resources = exactResources(spec.linux.resources);
  return spec;
}

const jsonAny = (typeUrl: string, value: object): Any => anyOf(typeUrl, new TextEncoder().encode(specToJson(value)));

const MEMORY_NUMBERS = ['limit', 'reservation', 'swap', 'kernel', 'kernelTCP', 'swappiness'];

function exactResources(resources: OciResources): OciResources {
  const exact = <T extends object>(part: T, names: readonly string[]): T =>
    Object.fromEntries(
      Object.entries(part).map(([name, value]) => [name, names.includes(name) ? BigInt(value as number) : value]),
    ) as T;
  const { cpu, memory, hugepageLimits } = resources;
  return {
    ...resources,
    ...(cpu && { cpu: exact(cpu, ['shares', 'quota', 'period', 'realtimeRuntime', 'realtimePeriod']) }),
    ...(memory && { memory: exact(memory, MEMORY_NUMBERS) }),
    ...(hugepageLimits && { hugepageLimits: hugepageLimits.map((limit) => exact(limit, ['limit'])) }),
  };
}
