import { markedKey } from './removal.js';

/** Applies entries with a key: removals first, because one answer may remove an entry and set it again. */
export function entriesOf<V, T>(
  before: Readonly<Record<string, T>>,
  asked: Readonly<Record<string, V>>,
  convert: (value: V) => T,
): Record<string, T> {
  const entries = new Map(Object.entries(before));
  const changes = Object.entries(asked).map(([text, value]) => ({ ...markedKey(text), value }));
  for (const { key, removed } of changes) if (removed) entries.delete(key);
  for (const { key, removed, value } of changes) if (!removed) entries.set(key, convert(value));
  return Object.fromEntries(entries);
}
