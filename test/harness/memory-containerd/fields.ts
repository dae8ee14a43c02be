import { CriError } from '../../../src/base/errors.js';
import type { Any, Labels } from '../../../src/containerd/containerd.js';

/** Copies an Any with its bytes in a Buffer, as a client of containerd returns it. */
export const copyAny = ({ type_url, value }: Any): Any => ({ type_url, value: Buffer.from(value) });

export const copyAnys = (anys: Readonly<Record<string, Any>>): Record<string, Any> =>
  Object.fromEntries(Object.entries(anys).map(([key, any]) => [key, copyAny(any)]));

/** containerd does not store a label without a value. */
export const storedLabels = (labels: Labels): Labels =>
  Object.fromEntries(Object.entries(labels).filter(([, value]) => value !== ''));

type Maps<K extends string> = Readonly<Record<K, Readonly<Record<string, unknown>>>>;

/**
 * Returns `before` with the named fields of `change`: `FIELD`, or `FIELD.KEY` for one entry of a field that is a map.
 * INVALID_ARGUMENT for a field that is in neither list.
 */
export function withFields<T extends object, K extends string>(
  before: T & Maps<K>,
  change: Partial<T>,
  fields: readonly string[],
  { maps, whole }: { maps: readonly K[]; whole: readonly (string & keyof T)[] },
): T {
  const result: Record<string, unknown> = { ...before };
  const given = change as Partial<Record<string, unknown>>;
  for (const field of fields) {
    const map = maps.find((name) => field.startsWith(`${name}.`));
    if (map !== undefined) {
      const key = field.slice(map.length + 1);
      const value = (given[map] as Readonly<Record<string, unknown>> | undefined)?.[key] ?? '';
      result[map] = { ...(result[map] as object), [key]: value };
    } else if ([...maps, ...whole].includes(field as K)) {
      result[field] = given[field];
    } else {
      throw new CriError('INVALID_ARGUMENT', `cannot update "${field}" field`);
    }
  }
  return result as T;
}
