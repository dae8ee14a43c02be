/**
 * Records when the current turn of a copying thread began, in memory shared with the server. Turns take milliseconds: a
 * longer turn is a system call to a file system that does not respond.
 */
export interface Pulse {
  /** Marks the start of a turn. */
  atWork(): void;
  /** Marks the end of a turn: the thread waits for the next one. */
  atRest(): void;
}

export const newPulseCell = (): BigInt64Array =>
  new BigInt64Array(new SharedArrayBuffer(BigInt64Array.BYTES_PER_ELEMENT));

export const createPulse = (cell: BigInt64Array): Pulse => ({
  atWork: () => void Atomics.store(cell, 0, process.hrtime.bigint()),
  atRest: () => void Atomics.store(cell, 0, AT_REST),
});

/** How long the thread's current turn has taken, 0 while it waits. */
export function busyMs(cell: BigInt64Array): number {
  const since = Atomics.load(cell, 0);
  return since === AT_REST ? 0 : Number((process.hrtime.bigint() - since) / NS_PER_MS);
}

/** A longer turn means that a file system does not respond. */
export const STALLED_MS = 5_000;

const AT_REST = 0n;
const NS_PER_MS = 1_000_000n;
