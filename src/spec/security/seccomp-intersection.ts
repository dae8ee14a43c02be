import { CriError } from '../../base/errors.js';
import type { OciSeccomp, OciSyscall, OciSyscallArg } from '../oci.js';
import { conditionCheck, sharedArchitectures } from './seccomp-architectures.js';
import {
  outcomeByDefault,
  outcomeOfRule,
  sameOutcome,
  stricter,
  strictness,
  takesErrno,
  type Outcome,
} from './seccomp-outcome.js';
import {
  difference,
  EVERY_CALL,
  intersection,
  regionsOf,
  requireFew,
  ruleArgs,
  type Region,
} from './seccomp-regions.js';
import { createWork, type Work } from './seccomp-work.js';

/**
 * Returns one filter with the effect of both: for each call the stricter action, as the kernel takes it of two filters.
 * The OCI spec has room for one filter only. Where rules of a profile contradict each other, the strictest counts.
 * The listener of SCMP_ACT_NOTIFY is that of `base`. INVALID_ARGUMENT: an unknown action or comparison;
 * FAILED_PRECONDITION: one filter cannot express the result. Both messages name the system call.
 */
export function intersectSeccomp(profile: OciSeccomp, base: OciSeccomp, work = createWork()): OciSeccomp {
  const fallback = stricter(outcomeByDefault(profile), outcomeByDefault(base));
  const [ours, theirs] = [rulesByName(profile), rulesByName(base)];
  const architectures = sharedArchitectures(profile, base);
  const check = conditionCheck(architectures);
  const rules = createRules(check, work);
  for (const name of [...new Set([...ours.keys(), ...theirs.keys()])].sort()) {
    try {
      const [mine, other] = [ours.get(name) ?? [], theirs.get(name) ?? []];
      for (const { args } of [...mine, ...other]) check(args ?? []);
      const found = together(cellsOf(profile, mine), cellsOf(base, other), fallback, work);
      for (const { outcome, region } of found) rules.add(name, outcome, region);
    } catch (thrown) {
      throw CriError.from(thrown).prefixed(`system call ${JSON.stringify(name)}`);
    }
  }
  const syscalls = rules.list();
  const notifies = syscalls.some(({ action }) => action === NOTIFY) || fallback.action === NOTIFY;
  const flags = sharedFlags(profile.flags, base.flags);
  return {
    defaultAction: fallback.action,
    ...(isUnusual(fallback) && { defaultErrnoRet: fallback.errno }),
    ...(architectures.length > 0 && { architectures }),
    ...(flags && { flags }),
    ...(notifies && base.listenerPath !== undefined && { listenerPath: base.listenerPath }),
    ...(notifies && base.listenerMetadata !== undefined && { listenerMetadata: base.listenerMetadata }),
    syscalls,
  };
}

const NOTIFY = 'SCMP_ACT_NOTIFY';
const EPERM = 1;

interface Matched {
  readonly outcome: Outcome;
  readonly region: Region;
}

/** Calls with one outcome: those in `region` and in none of `except`, whose outcomes may be the same. */
interface Cell extends Matched {
  readonly except: readonly Matched[];
}

function rulesByName({ syscalls }: OciSeccomp): Map<string, OciSyscall[]> {
  const byName = new Map<string, OciSyscall[]>();
  for (const rule of syscalls ?? []) {
    for (const name of new Set(rule.names)) {
      const known = byName.get(name);
      if (known) known.push(rule);
      else byName.set(name, [rule]);
    }
  }
  return byName;
}

/** Splits all calls of one system call by their outcome in one profile. */
function cellsOf(profile: OciSeccomp, rules: readonly OciSyscall[]): Cell[] {
  const matched: Matched[] = rules
    .flatMap((rule) => regionsOf(rule.args ?? []).map((region) => ({ outcome: outcomeOfRule(rule), region })))
    .sort((a, b) => strictness(b.outcome) - strictness(a.outcome));
  const cells = matched.map((each, at) => ({ ...each, except: matched.slice(0, at) }));
  return [...cells, { outcome: outcomeByDefault(profile), region: EVERY_CALL, except: matched }];
}

/**
 * Returns the regions whose outcome differs from `fallback`, which the filter's default action gives to all others.
 * Regions with different outcomes are disjoint: libseccomp's order of rules does not matter.
 */
function together(ours: readonly Cell[], theirs: readonly Cell[], fallback: Outcome, work: Work): Matched[] {
  const found: Matched[] = [];
  for (const a of ours) {
    for (const b of theirs) {
      work.spend(1);
      const outcome = stricter(a.outcome, b.outcome);
      if (sameOutcome(outcome, fallback)) continue;
      const region = intersection(a.region, b.region, work);
      if (!region) continue;
      const differs = (x: Outcome, y: Outcome): boolean => !sameOutcome(stricter(x, y), outcome);
      const except = [
        ...a.except.filter((other) => differs(other.outcome, b.outcome)),
        ...b.except.filter((other) => differs(a.outcome, other.outcome)),
      ];
      const pieces = difference(
        region,
        except.map((other) => other.region),
        work,
      );
      for (const piece of pieces) found.push({ outcome, region: piece });
      requireFew(found.length);
    }
  }
  const everywhere = found.find((each) => each.region.size === 0);
  return everywhere ? [everywhere] : found;
}

/** Collects rules; system calls with the same rule share one entry. */
function createRules(check: (args: readonly OciSyscallArg[]) => void, work: Work) {
  const entries = new Map<string, { readonly rule: Omit<OciSyscall, 'names'>; readonly names: Set<string> }>();
  const put = (name: string, outcome: Outcome, args: OciSyscallArg[]): void => {
    const rule = {
      action: outcome.action,
      ...(isUnusual(outcome) && { errnoRet: outcome.errno }),
      ...(args.length > 0 && { args }),
    };
    const key = JSON.stringify(rule, (_key, value: unknown) => (typeof value === 'bigint' ? String(value) : value));
    const entry = entries.get(key) ?? { rule, names: new Set() };
    entry.names.add(name);
    entries.set(key, entry);
  };
  return {
    add(name: string, outcome: Outcome, region: Region): void {
      for (const args of ruleArgs(region, work)) {
        check(args);
        put(name, outcome, args);
      }
    },
    list: (): OciSyscall[] => [...entries.values()].map(({ rule, names }) => ({ names: [...names], ...rule })),
  };
}

const isUnusual = (outcome: Outcome): outcome is Outcome & { errno: number } =>
  takesErrno(outcome.action) && outcome.errno !== EPERM;

/**
 * SECCOMP_FILTER_FLAG_SPEC_ALLOW turns a protection off, so both must have it; without a list a runtime may set it. The
 * other flags do not permit anything.
 */
function sharedFlags(a: string[] | undefined, b: string[] | undefined): string[] | undefined {
  if (!a || !b) return a ?? b;
  const isShared = (flag: string): boolean => flag !== SPEC_ALLOW || (a.includes(flag) && b.includes(flag));
  return [...new Set([...a, ...b])].filter(isShared);
}

const SPEC_ALLOW = 'SECCOMP_FILTER_FLAG_SPEC_ALLOW';
