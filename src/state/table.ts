import { CriError, invalidArgument, notFound } from '../base/errors.js';

/** An in-memory table of records by id and by name. */
export interface Table<T extends { readonly id: string; readonly name: string }> {
  /**
   * Finds a record by an id in a request, or a unique prefix of it. INVALID_ARGUMENT names `field`: empty or ambiguous.
   */
  find(idOrPrefix: string, field: string): T | undefined;
  /** As `find`; NOT_FOUND when there is no such record. */
  get(idOrPrefix: string, field: string): T;
  /** Finds a record by its whole id: for ids from containerd, from records or from crid itself. */
  byId(id: string): T | undefined;
  byName(name: string): T | undefined;
  list(): readonly T[];
  put(record: T): void;
  delete(id: string): void;
  /** Calls `listener` after each change with the record before and after it; returns a function that removes it. */
  onChange(listener: (before: T | undefined, after: T | undefined) => void): () => void;
  /** Resolves with the record once `predicate` holds, or undefined once it is deleted. Rejects when `signal` aborts. */
  until(id: string, predicate: (record: T) => boolean, signal: AbortSignal): Promise<T | undefined>;
}

export function createTable<T extends { readonly id: string; readonly name: string }>(kind: string): Table<T> {
  const records = new Map<string, T>();
  const ids = new Map<string, string>();
  const listeners = new Set<(before: T | undefined, after: T | undefined) => void>();
  let all: readonly T[] | undefined;

  const changed = (before: T | undefined, after: T | undefined): void => {
    all = undefined;
    for (const listener of [...listeners]) listener(before, after);
  };

  const byId = (id: string): T | undefined => records.get(id);
  const onChange: Table<T>['onChange'] = (listener) => {
    listeners.add(listener);
    return () => listeners.delete(listener);
  };

  const find = (idOrPrefix: string, field: string): T | undefined => {
    if (idOrPrefix === '') throw invalidArgument(field, `${kind} id must not be empty`);
    const exact = records.get(idOrPrefix);
    if (exact) return exact;
    const matches = [...records.values()].filter((record) => record.id.startsWith(idOrPrefix));
    if (matches.length > 1)
      throw invalidArgument(field, `"${idOrPrefix}" is a prefix of ${matches.length} ${kind} ids`);
    return matches[0];
  };

  return {
    find,
    get(idOrPrefix, field) {
      const record = find(idOrPrefix, field);
      if (!record) throw notFound(kind, idOrPrefix);
      return record;
    },
    byId,
    byName(name) {
      const id = ids.get(name);
      return id === undefined ? undefined : records.get(id);
    },
    list: () => (all ??= [...records.values()]),
    put(record) {
      const holder = ids.get(record.name);
      if (holder !== undefined && holder !== record.id) {
        throw new CriError('ALREADY_EXISTS', `${kind} name "${record.name}" is taken by "${holder}"`);
      }
      const before = records.get(record.id);
      records.set(record.id, record);
      ids.set(record.name, record.id);
      changed(before, record);
    },
    delete(id) {
      const before = records.get(id);
      if (!before) return;
      records.delete(id);
      ids.delete(before.name);
      changed(before, undefined);
    },
    onChange,
    until: (id, predicate, signal) => untilHolds({ byId, onChange }, id, predicate, signal),
  };
}

/** Implements `until` of a table. */
function untilHolds<T extends { readonly id: string; readonly name: string }>(
  { byId, onChange }: Pick<Table<T>, 'byId' | 'onChange'>,
  id: string,
  predicate: (record: T) => boolean,
  signal: AbortSignal,
): Promise<T | undefined> {
  return new Promise((resolve, reject) => {
    if (signal.aborted) return reject(CriError.from(signal.reason));
    const finish = (settle: () => void): void => {
      forget();
      signal.removeEventListener('abort', onAbort);
      settle();
    };
    const check = (): void => {
      const record = byId(id);
      if (!record || predicate(record)) finish(() => resolve(record));
    };
    const onAbort = (): void => finish(() => reject(CriError.from(signal.reason)));
    const forget = onChange((before, after) => {
      if ((after ?? before)?.id === id) check();
    });
    signal.addEventListener('abort', onAbort, { once: true });
    check();
  });
}
