import { randomBytes } from 'node:crypto';

/** Creates ids, and distinguishes those created since the start from those that an earlier run of crid left behind. */
export interface NewIds {
  /** 64 hex digits. */
  make(): string;
  /** Whether `make` has returned the id since the start; after `forget`, always true. */
  isNew(id: string): boolean;
  /** Drops the remembered ids once the leftovers have been swept. */
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
