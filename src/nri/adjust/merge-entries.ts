import { Field, type LinuxNamespace } from '../../../generated/nri/v1alpha1/api.js';
import type { Owners } from './owners.js';
import { markedKey, removalOf } from './removal.js';

/** The plugin whose answer is merged, and the container that it changes. */
export interface Claims {
  readonly owners: Owners;
  readonly id: string;
  readonly plugin: string;
}

/** The values that the next plugin sees, and the adjustments so far. */
interface Merged<T> {
  readonly shown: T;
  readonly adjusted: T;
}

/**
 * Merges a list whose elements have a key: mounts, devices, environment variables. A removal takes an element out of
 * both lists; without a replacement in the same answer it stays among the adjustments, for the spec.
 */
export function mergeKeyed<T>(
  asked: readonly T[],
  shown: readonly T[],
  before: readonly T[],
  { owners, id, plugin, field, keyOf }: Claims & { readonly field: Field; readonly keyOf: (element: T) => string },
): Merged<T[]> {
  const keyed = asked.map((element) => ({ element, ...markedKey(keyOf(element)) }));
  const added = keyed.filter(({ removed }) => !removed);
  const removed = keyed.filter((each) => each.removed);
  const addedKeys = new Set(added.map(({ key }) => key));
  const removedKeys = new Set(removed.map(({ key }) => key));
  for (const key of before.map(keyOf)) if (removedKeys.has(key)) owners.clear(id, plugin, field, key);
  for (const { key } of added) owners.claim(id, plugin, field, key);
  const additions = added.map(({ element }) => element);
  return {
    shown: [
      ...shown.filter((element) => !removedKeys.has(keyOf(element)) && !addedKeys.has(keyOf(element))),
      ...additions,
    ],
    adjusted: [
      ...before.filter((element) => !removedKeys.has(keyOf(element))),
      ...additions,
      ...removed.filter(({ key }) => !addedKeys.has(key)).map(({ element }) => element),
    ],
  };
}

/**
 * Merges a map: annotations, sysctls, network devices. `removed` is the value of a removal. A removal without a value
 * takes the entry from the plugins before it, as with lists.
 */
export function mergeEntries<V>(
  asked: Readonly<Record<string, V>>,
  shown: Readonly<Record<string, V>>,
  before: Readonly<Record<string, V>>,
  { owners, id, plugin, field, removed }: Claims & { readonly field: Field; readonly removed: V },
): Merged<Record<string, V>> {
  const shownNow = new Map(Object.entries(shown));
  const adjusted = new Map(Object.entries(before));
  for (const text of Object.keys(asked)) {
    const { key, removed: isRemoval } = markedKey(text);
    if (!isRemoval) continue;
    if (adjusted.has(key) || Object.hasOwn(asked, key)) owners.clear(id, plugin, field, key);
    shownNow.delete(key);
    adjusted.delete(key);
    adjusted.set(removalOf(key), removed);
  }
  for (const [text, value] of Object.entries(asked)) {
    if (markedKey(text).removed) continue;
    owners.claim(id, plugin, field, text);
    shownNow.set(text, value);
    adjusted.set(text, value);
  }
  return { shown: Object.fromEntries(shownNow), adjusted: Object.fromEntries(adjusted) };
}

/** Merges namespaces: each type has one owner, of its path or of its removal. */
export function mergeNamespaces(
  asked: readonly LinuxNamespace[],
  shown: readonly LinuxNamespace[],
  before: readonly LinuxNamespace[],
  { owners, id, plugin }: Claims,
): Merged<LinuxNamespace[]> {
  const shownNow = new Map(shown.map((namespace) => [namespace.type, namespace]));
  for (const namespace of asked) {
    const { key, removed } = markedKey(namespace.type);
    owners.claim(id, plugin, Field.Namespace, key);
    if (removed) shownNow.delete(key);
    else shownNow.set(key, namespace);
  }
  return { shown: [...shownNow.values()], adjusted: [...before, ...asked] };
}

/** Returns the name of a variable of an OCI environment (`NAME=value`). */
export const envName = (line: string): string => line.split('=', 1)[0] ?? '';
