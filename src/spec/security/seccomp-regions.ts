import type { OciSyscallArg } from '../oci.js';
import { both, complement, conditionsOf, isEmpty, isEverything, valuesOf, type Values } from './seccomp-values.js';
import { inexpressible, type Work } from './seccomp-work.js';

/** A set of calls of one system call: the values of its arguments by index. An argument that is missing is free. */
export type Region = ReadonlyMap<number, Values>;

export const EVERY_CALL: Region = new Map();

/** The limit for one system call, on regions and on the rules that they become. */
const MAX_REGIONS = 256;

/**
 * Returns the calls that a rule with these conditions matches, as regions. All conditions must hold. When two of them
 * are on one argument, one is enough, as in runc: https://github.com/opencontainers/runc/issues/2735
 */
export function regionsOf(args: readonly OciSyscallArg[]): Region[] {
  const isTwice = new Set(args.map(({ index }) => index)).size < args.length;
  if (isTwice) return args.map((arg) => new Map([[arg.index, valuesOf(arg)]]));
  return [new Map(args.map((arg) => [arg.index, valuesOf(arg)]))];
}

/** Returns the calls in both regions, or undefined when there are none. */
export function intersection(a: Region, b: Region, work: Work): Region | undefined {
  work.spend(1 + b.size);
  const result = new Map(a);
  for (const [index, values] of b) {
    const mine = result.get(index);
    result.set(index, mine ? both(mine, values, work) : values);
  }
  return [...result.values()].some(isEmpty) ? undefined : result;
}

/** Returns the calls of `region` that are in none of `others`, as disjoint regions. */
export function difference(region: Region, others: readonly Region[], work: Work): Region[] {
  let rest = [region];
  for (const other of others) {
    rest = rest.flatMap((each) => minus(each, other, work));
    requireFew(rest.length);
  }
  return rest;
}

function minus(region: Region, other: Region, work: Work): Region[] {
  if (!intersection(region, other, work)) return [region];
  const pieces: Region[] = [];
  let inside = region;
  for (const [index, values] of other) {
    for (const outside of complement(values)) {
      const piece = intersection(inside, new Map([[index, outside]]), work);
      if (piece) pieces.push(piece);
    }
    inside = intersection(inside, new Map([[index, values]]), work) ?? inside;
  }
  return pieces;
}

/** Returns the conditions of the rules that together match just the region. */
export function ruleArgs(region: Region, work: Work): OciSyscallArg[][] {
  let rules: OciSyscallArg[][] = [[]];
  for (const [index, values] of [...region].sort(([a], [b]) => a - b)) {
    if (isEverything(values)) continue;
    const choices = conditionsOf(index, values);
    rules = rules.flatMap((rule) => choices.map((choice) => [...rule, choice]));
    work.spend(rules.length);
    requireFew(rules.length);
  }
  return rules;
}

export function requireFew(count: number): void {
  if (count > MAX_REGIONS) throw inexpressible(`more than ${MAX_REGIONS} combinations of conditions`);
}
