import { randomBytes } from 'node:crypto';

/** Makes ids, and tells those made since the start from those that an earlier run of crid has left. */
export interface NewIds {
  /** 64 hex digits. */
  make(): string;
  /** Whether the id was made since the start. */
  isNew(id: string): boolean;
  /** Ids are no longer remembered: the leftovers have been swept. */
  forget(): void;
}

export function createNewIds(): NewIds {
  let made: Set<string> | undefined = new Set();
  return {
    make() {
      const id = randomBytes(32).toString('hex');
      made?.add(id);
      return id;
    },
    isNew: (id) => made?.has(id) ?? true,
    forget: () => void (made = undefined),
  };
}
