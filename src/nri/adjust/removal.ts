/** A key of an adjustment; upstream marks a removal with a leading `-` (pkg/api/helpers.go). */
export interface MarkedKey {
  readonly key: string;
  readonly removed: boolean;
}

export const markedKey = (text: string): MarkedKey =>
  text.startsWith('-') ? { key: text.slice(1), removed: true } : { key: text, removed: false };

export const removalOf = (key: string): string => `-${key}`;
