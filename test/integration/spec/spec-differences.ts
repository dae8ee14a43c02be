/* Compares the OCI specs of two servers field by field. */

type Json = null | boolean | number | string | Json[] | { [key: string]: Json };

/**
 * Returns the differences as `linux.resources.cpu.shares: 2 != undefined`. Lists without a meaningful order are
 * compared as sets.
 */
export function differences(ours: unknown, theirs: unknown): string[] {
  const [a, b] = [flat(canonical(ours as Json)), flat(canonical(theirs as Json))];
  return [...new Set([...a.keys(), ...b.keys()])]
    .filter((path) => a.get(path) !== b.get(path))
    .sort()
    .map((path) => `${path}: ${a.get(path) ?? 'absent'} != ${b.get(path) ?? 'absent'}`);
}

/** The fields that identify an entry, for lists without a meaningful order. */
const KEYS: Readonly<Record<string, readonly string[]>> = {
  namespaces: ['type'],
  devices: ['path', 'allow', 'type', 'major', 'minor'],
  mounts: ['destination'],
  hugepageLimits: ['pageSize'],
  rlimits: ['type'],
};
const nameOf = (entry: Json, members: readonly string[]): string =>
  members.map((member) => JSON.stringify((entry as { [key: string]: Json })[member] ?? null)).join(' ');
const SETS = new Set([
  'bounding',
  'effective',
  'permitted',
  'inheritable',
  'ambient',
  'env',
  'architectures',
  'options',
]);

function canonical(value: Json, name = ''): Json {
  if (Array.isArray(value)) {
    if (name === 'syscalls') return Object.fromEntries(value.flatMap(syscallRules));
    if (SETS.has(name)) return occurrences(value as string[]);
    const key = KEYS[name];
    if (key) return Object.fromEntries(value.map((entry) => [nameOf(entry, key), canonical(entry)]));
    return value.map((entry) => canonical(entry));
  }
  if (typeof value !== 'object' || value === null) return value;
  return Object.fromEntries(Object.entries(value).map(([key, entry]) => [key, canonical(entry, key)]));
}

/** Counts equal values. */
function occurrences(values: readonly string[]): Record<string, number> {
  const counts: Record<string, number> = {};
  for (const value of values) counts[value] = (counts[value] ?? 0) + 1;
  return counts;
}

/** Returns one rule per system call, because profiles group them differently. */
function syscallRules(entry: Json): [string, Json][] {
  const { names, ...rule } = entry as { names: string[]; args?: Json };
  return names.map((name) => [`${name} ${JSON.stringify(rule.args ?? null)}`, rule as Json]);
}

function flat(value: Json, path = '', into = new Map<string, string>()): Map<string, string> {
  if (typeof value === 'object' && value !== null && Object.keys(value).length > 0) {
    for (const [key, entry] of Object.entries(value)) flat(entry, path === '' ? key : `${path}.${key}`, into);
  } else if (!(typeof value === 'object' && value !== null)) into.set(path, JSON.stringify(value));
  return into;
}
