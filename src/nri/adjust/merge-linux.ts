import {
  Field,
  LinuxRdt,
  type LinuxContainer,
  type LinuxContainerAdjustment,
} from '../../../generated/nri/v1alpha1/api.js';
import type { Claims } from './merge-entries.js';

/** Merges the fields of an adjustment that have one value, with one owner each. */
export function mergeLinuxScalars(
  asked: LinuxContainerAdjustment,
  shown: LinuxContainer,
  before: LinuxContainerAdjustment,
  claims: Claims,
): { shown: Partial<LinuxContainer>; adjusted: Partial<LinuxContainerAdjustment> } {
  const { owners, id, plugin } = claims;
  const set: Partial<LinuxContainerAdjustment> & Partial<LinuxContainer> = {};
  if (asked.cgroups_path !== '') {
    owners.claim(id, plugin, Field.CgroupsPath);
    set.cgroups_path = asked.cgroups_path;
  }
  for (const [name, field] of SCALARS) {
    if (asked[name] === undefined) continue;
    owners.claim(id, plugin, field);
    Object.assign(set, { [name]: asked[name] });
  }
  const { memory_policy } = asked;
  if (memory_policy) owners.claim(id, plugin, Field.MemoryPolicy);
  const rdt = asked.rdt && mergeRdt(asked.rdt, before.rdt, claims);
  return {
    shown: {
      ...set,
      ...(rdt && { rdt: rdt.remove ? undefined : ({ ...shown.rdt, ...withoutUnset(rdt) } as LinuxRdt) }),
    },
    adjusted: { ...set, ...(memory_policy && { memory_policy }), ...(rdt && { rdt }) },
  };
}

const SCALARS = [
  ['oom_score_adj', Field.OomScoreAdj],
  ['io_priority', Field.IoPriority],
  ['seccomp_policy', Field.SeccompPolicy],
  ['scheduler', Field.LinuxSched],
] as const;

const RDT = [
  ['clos_id', Field.RdtClosID],
  ['schemata', Field.RdtSchemata],
  ['enable_monitoring', Field.RdtEnableMonitoring],
] as const;

/** A removal clears what plugins before set. It is dropped again if a value is set after it, as upstream does. */
function mergeRdt(asked: LinuxRdt, before: LinuxRdt | undefined, { owners, id, plugin }: Claims): LinuxRdt {
  if (asked.remove) for (const [, field] of RDT) owners.clear(id, plugin, field);
  const merged = LinuxRdt.fromPartial(asked.remove ? { remove: true } : (before ?? {}));
  for (const [name, field] of RDT) {
    if (asked[name] === undefined) continue;
    owners.claim(id, plugin, field);
    Object.assign(merged, { [name]: asked[name], remove: false });
  }
  return merged;
}

const withoutUnset = (rdt: LinuxRdt): Partial<LinuxRdt> =>
  Object.fromEntries(Object.entries(rdt).filter(([, value]) => value !== undefined));
