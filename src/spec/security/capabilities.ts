import type { Capability } from '../../../generated/runtime/v1/api.js';
import type { OciCapabilities } from '../oci.js';
import { DEFAULT_CAPABILITIES, KNOWN_CAPABILITIES } from './known-capabilities.js';

/**
 * Returns the capability sets of a container. They are computed in this order: the bounding set of the base spec (or
 * the default fourteen), add ALL, drop ALL, single adds, single drops. A privileged container gets all of `grantable`.
 * An ambient capability is put into every set, since the kernel keeps a capability ambient only while it is inheritable
 * and permitted (capabilities(7)). Without ambient capabilities, the ambient set stays empty. `grantable` is what
 * crid's own process holds: the runtime would fail if the spec asked for more.
 */
export function containerCapabilities(input: {
  readonly requested: Capability | undefined;
  readonly privileged: boolean;
  readonly grantable?: readonly string[] | undefined;
  readonly base?: OciCapabilities | undefined;
}): OciCapabilities {
  const { requested, privileged, grantable = KNOWN_CAPABILITIES, base } = input;
  const adds = (requested?.add_capabilities ?? []).map(canonicalCapability);
  const drops = (requested?.drop_capabilities ?? []).map(canonicalCapability);
  const ambient = (requested?.add_ambient_capabilities ?? []).map(canonicalCapability);

  let bounding: readonly string[] = base ? (base.bounding ?? []) : DEFAULT_CAPABILITIES;
  if (adds.includes(ALL)) bounding = grantable;
  if (drops.includes(ALL)) bounding = [];
  const single = (names: readonly string[]): string[] => names.filter((name) => name !== ALL);
  const kept = [...bounding, ...single(adds), ...single(ambient)].filter((name) => !single(drops).includes(name));
  const final = [...new Set(privileged ? grantable : kept)];
  const finalAmbient = [...new Set(ambient.includes(ALL) ? final : single(ambient))].filter((name) =>
    final.includes(name),
  );
  return capabilitySets(final, finalAmbient);
}

/** The capability sets of the pause container: the default fourteen. */
export const defaultCapabilities = (): OciCapabilities => capabilitySets(DEFAULT_CAPABILITIES, []);

/**
 * Returns `CAP_CHOWN` for `chown`, `CHOWN` and `CAP_CHOWN`, and `ALL` for `all`. Unknown names pass: the API server
 * admits any name, and the runtime warns of a capability that the kernel does not have (OCI runtime spec, "Linux
 * Process").
 */
function canonicalCapability(name: string): string {
  const upper = name.toUpperCase();
  if (upper === ALL) return ALL;
  return upper.startsWith('CAP_') ? upper : `CAP_${upper}`;
}

/** The permitted capabilities of a process, from the text of its /proc/PID/status (`CapPrm`, a mask in hex). */
export function parsePermittedCapabilities(status: string): string[] {
  const mask = BigInt(`0x${/^CapPrm:\s*([0-9a-f]+)$/m.exec(status)?.[1] ?? '0'}`);
  return KNOWN_CAPABILITIES.filter((_, bit) => ((mask >> BigInt(bit)) & 1n) === 1n);
}

const ALL = 'ALL';

/** Empty sets are left out, as in all JSON of the OCI spec. */
function capabilitySets(names: readonly string[], ambient: readonly string[]): OciCapabilities {
  if (names.length === 0) return {};
  return {
    bounding: [...names],
    effective: [...names],
    permitted: [...names],
    ...(ambient.length > 0 && { inheritable: [...ambient], ambient: [...ambient] }),
  };
}
