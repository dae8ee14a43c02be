import { CriError } from '../../base/errors.js';
import type { OciSyscallArg } from '../oci.js';
import { inexpressible, type Work } from './seccomp-work.js';

/**
 * The values of one 64-bit argument that a condition admits: ranges in ascending order, or the values whose bits in
 * `mask` are `bits`, which has no others.
 */
export type Values =
  | { readonly kind: 'ranges'; readonly ranges: readonly Range[] }
  | { readonly kind: 'masked'; readonly mask: bigint; readonly bits: bigint };

/** Both ends are included. */
type Range = readonly [low: bigint, high: bigint];

const MAX = (1n << 64n) - 1n;
export const LOW_WORD = (1n << 32n) - 1n;
/** Ranges of at most so many values become one rule for each value. */
const MAX_LISTED = 64n;

export const COMPARISONS: readonly string[] = [
  ...['SCMP_CMP_NE', 'SCMP_CMP_LT', 'SCMP_CMP_LE', 'SCMP_CMP_EQ', 'SCMP_CMP_GE', 'SCMP_CMP_GT', 'SCMP_CMP_MASKED_EQ'],
];

/** The values of a condition of the OCI spec (config-linux.md, "seccomp"). */
export function valuesOf({ op, value, valueTwo }: OciSyscallArg): Values {
  const number = BigInt.asUintN(64, BigInt(value));
  switch (op) {
    case 'SCMP_CMP_EQ':
      return within([[number, number]]);
    case 'SCMP_CMP_NE':
      return without(number);
    case 'SCMP_CMP_LT':
      return within([[0n, number - 1n]]);
    case 'SCMP_CMP_LE':
      return within([[0n, number]]);
    case 'SCMP_CMP_GT':
      return within([[number + 1n, MAX]]);
    case 'SCMP_CMP_GE':
      return within([[number, MAX]]);
    case 'SCMP_CMP_MASKED_EQ':
      // Bits outside the mask do not count in libseccomp.
      return { kind: 'masked', mask: number, bits: number & BigInt.asUintN(64, BigInt(valueTwo ?? 0)) };
    default:
      throw new CriError('INVALID_ARGUMENT', `unknown comparison ${JSON.stringify(op)}`);
  }
}

export const admits = (values: Values, value: bigint): boolean =>
  values.kind === 'masked'
    ? (value & values.mask) === values.bits
    : values.ranges.some(([low, high]) => low <= value && value <= high);

export const isEmpty = (values: Values): boolean => values.kind === 'ranges' && values.ranges.length === 0;

export const isEverything = (values: Values): boolean =>
  values.kind === 'masked'
    ? values.mask === 0n
    : values.ranges.length === 1 && values.ranges[0]?.[0] === 0n && values.ranges[0][1] === MAX;

/** Returns the values in both. FAILED_PRECONDITION if ranges and a mask do not combine. */
export function both(a: Values, b: Values, work: Work): Values {
  if (isEverything(a)) return b;
  if (isEverything(b)) return a;
  if (a.kind === 'ranges' && b.kind === 'ranges') {
    work.spend(a.ranges.length * b.ranges.length);
    return within(
      a.ranges.flatMap(([low, high]) =>
        b.ranges.map(([from, to]): Range => [low > from ? low : from, high < to ? high : to]),
      ),
    );
  }
  if (a.kind === 'masked' && b.kind === 'masked') {
    const common = a.mask & b.mask;
    if ((a.bits & common) !== (b.bits & common)) return within([]);
    return { kind: 'masked', mask: a.mask | b.mask, bits: a.bits | b.bits };
  }
  const [masked, ranges] = a.kind === 'masked' ? [a, b] : [b, a];
  const values = listed(ranges);
  if (!values) throw inexpressible('a mask and a range of the same argument');
  work.spend(values.length);
  return within(values.filter((value) => admits(masked, value)).map((value): Range => [value, value]));
}

/** Returns the values that `values` does not admit, as disjoint sets. */
export function complement(values: Values): Values[] {
  if (values.kind === 'masked') return differing(values.mask, values.bits);
  const rest: Range[] = [];
  let from = 0n;
  for (const [low, high] of values.ranges) {
    rest.push([from, low - 1n]);
    from = high + 1n;
  }
  return [within([...rest, [from, MAX]])].filter((each) => !isEmpty(each));
}

/**
 * Returns a set for each bit of the mask: that bit differs, and the bits below it are equal. For a 32-bit program,
 * libseccomp compares only the low word of an argument, so that a mask above it would always match.
 */
function differing(mask: bigint, bits: bigint): Values[] {
  if (mask > LOW_WORD) throw inexpressible('the opposite of a mask above 32 bits');
  const sets: Values[] = [];
  let equal = 0n;
  for (let bit = 1n; bit <= mask; bit <<= 1n) {
    if ((mask & bit) === 0n) continue;
    sets.push({ kind: 'masked', mask: equal | bit, bits: (bits & equal) | (~bits & bit) });
    equal |= bit;
  }
  return sets;
}

/** Returns conditions of the OCI spec, of which each admits some of the values, and all together admit just them. */
export function conditionsOf(index: number, values: Values): OciSyscallArg[] {
  const condition = (op: string, value: bigint): OciSyscallArg => ({ index, value: plain(value), op });
  if (values.kind === 'masked') return [maskedCondition(index, values.mask, values.bits)];
  const hole = holeOf(values.ranges);
  if (hole !== undefined) return [condition('SCMP_CMP_NE', hole)];
  return values.ranges.flatMap(([low, high]) => {
    if (low === high) return [condition('SCMP_CMP_EQ', low)];
    if (low === 0n) return [condition('SCMP_CMP_LE', high)];
    if (high === MAX) return [condition('SCMP_CMP_GE', low)];
    const list = listed(within([[low, high]]));
    if (list) return list.map((value) => condition('SCMP_CMP_EQ', value));
    return blocks(low, high).map(([mask, bits]) => maskedCondition(index, mask, bits));
  });
}

/** Splits a range into blocks of 2^n values, of which each is one mask. */
function blocks(low: bigint, high: bigint): [mask: bigint, bits: bigint][] {
  if (high > LOW_WORD) throw inexpressible('a range with two ends above 32 bits');
  const found: [bigint, bigint][] = [];
  for (let from = low; from <= high;) {
    let size = 1n;
    while (from % (size * 2n) === 0n && from + size * 2n - 1n <= high) size *= 2n;
    found.push([MAX - (size - 1n), from]);
    from += size;
  }
  return found;
}

const maskedCondition = (index: number, mask: bigint, bits: bigint): OciSyscallArg => ({
  index,
  value: plain(mask),
  valueTwo: plain(bits),
  op: 'SCMP_CMP_MASKED_EQ',
});

function holeOf(ranges: readonly Range[]): bigint | undefined {
  const [first, second, ...more] = ranges;
  if (!first || !second || more.length > 0 || first[0] !== 0n || second[1] !== MAX) return undefined;
  return first[1] + 2n === second[0] ? first[1] + 1n : undefined;
}

function listed(values: Values): bigint[] | undefined {
  if (values.kind === 'masked') return undefined;
  const count = values.ranges.reduce((sum, [low, high]) => sum + high - low + 1n, 0n);
  if (count > MAX_LISTED) return undefined;
  return values.ranges.flatMap(([low, high]) =>
    Array.from({ length: Number(high - low + 1n) }, (_, n) => low + BigInt(n)),
  );
}

function without(value: bigint): Values {
  return within([
    [0n, value - 1n],
    [value + 1n, MAX],
  ]);
}

const within = (ranges: readonly Range[]): Values => ({
  kind: 'ranges',
  ranges: ranges.filter(([low, high]) => low <= high).sort(([a], [b]) => (a < b ? -1 : 1)),
});

const plain = (value: bigint): number | bigint => (value <= BigInt(Number.MAX_SAFE_INTEGER) ? Number(value) : value);
