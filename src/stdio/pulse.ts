/**
 * Since when a copying thread has been at work without waiting for something to do, in memory that it shares with the
 * server. Its turns take milliseconds: a longer one is a call that a file system does not answer.
 */
export interface Pulse {
  /** The turn begins. */
  atWork(): void;
  /** The thread waits for its next turn. */
  atRest(): void;
}

export const newPulseCell = (): BigInt64Array =>
  new BigInt64Array(new SharedArrayBuffer(BigInt64Array.BYTES_PER_ELEMENT));

export const createPulse = (cell: BigInt64Array): Pulse => ({
  atWork: () => void Atomics.store(cell, 0, process.hrtime.bigint()),
  atRest: () => void Atomics.store(cell, 0, AT_REST),
});

/** How long the thread's turn has taken; 0 while it waits. */
export function busyMs(cell: BigInt64Array): number {
  const since = Atomics.load(cell, 0);
  return since === AT_REST ? 0 : Number((process.hrtime.bigint() - since) / NS_PER_MS);
}

/** A turn that takes longer waits for a file system that does not answer. */
export const STALLED_MS = 5_000;

const AT_REST = 0n;
const NS_PER_MS = 1_000_000n;
