import type { ImageServiceClient, RuntimeServiceClient } from '../../generated/runtime/v1/api.js';

/** A side of the comparison: containerd's CRI plugin, crid, or a second crid with other settings. */
export interface Side {
  readonly key: SideKey;
  readonly name: string;
  /** The socket of its CRI. */
  readonly socket: string;
  /** The process of crid; undefined for the plugin, which is a part of containerd. */
  readonly pid: number | undefined;
  readonly runtime: RuntimeServiceClient;
  readonly images: ImageServiceClient;
}

export type SideKey = 'reference' | 'candidate' | 'variant';

/** A value for each side that every run has. */
export interface Both<T> {
  readonly reference: T;
  readonly candidate: T;
}

/** A value for each side. Only a run with a second crid has a variant. */
export interface Each<T> extends Both<T> {
  readonly variant?: T;
}

/** Returns the value of one side. */
export function of<T>(each: Each<T>, { key }: Pick<Side, 'key'>): T {
  const value = each[key];
  if (value === undefined) throw new Error(`no value of ${key}`);
  return value;
}

export const all = <T>({ reference, candidate, variant }: Each<T>): T[] =>
  variant === undefined ? [reference, candidate] : [reference, candidate, variant];

/** Converts the value of each side. */
export const mapEach = <T, U>({ reference, candidate, variant }: Each<T>, convert: (value: T) => U): Each<U> => ({
  reference: convert(reference),
  candidate: convert(candidate),
  ...(variant !== undefined && { variant: convert(variant) }),
});

/** Runs `work` on each side, one after the other. The side that goes first changes with each turn. */
export async function onEach<T>(sides: Each<Side>, work: (side: Side) => Promise<T>, turn = 0): Promise<Each<T>> {
  const list = all(sides);
  const first = turn % list.length;
  const values = new Map<Side, T>();
  for (const side of [...list.slice(first), ...list.slice(0, first)]) values.set(side, await work(side));
  return mapEach(sides, (side) => values.get(side) as T);
}
