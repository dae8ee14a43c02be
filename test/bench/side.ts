import type { ImageServiceClient, RuntimeServiceClient } from '../../generated/runtime/v1/api.js';

/** A side of the comparison: crid, or containerd's CRI plugin. */
export interface Side {
  readonly key: 'reference' | 'candidate';
  readonly name: string;
  /** The socket of its CRI. */
  readonly socket: string;
  readonly runtime: RuntimeServiceClient;
  readonly images: ImageServiceClient;
}

/** A value for each side. */
export interface Both<T> {
  readonly reference: T;
  readonly candidate: T;
}

/** Runs `work` on both sides, one after the other; with `swapped` the candidate first. */
export async function onBoth<T>(
  sides: Both<Side>,
  work: (side: Side) => Promise<T>,
  swapped = false,
): Promise<Both<T>> {
  if (swapped) {
    const candidate = await work(sides.candidate);
    return { candidate, reference: await work(sides.reference) };
  }
  const reference = await work(sides.reference);
  return { reference, candidate: await work(sides.candidate) };
}
