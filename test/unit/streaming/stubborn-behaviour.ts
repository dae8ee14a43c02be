/**
 * The behaviour of a thread. Each thread decrements the first cell, so that the one after a thread that dies never
 * listens.
 */
export const BEHAVIOUR = { listens: 2, dies: 1, starts: 0 } as const;

/**
 * Cells in the shared memory of the streaming thread's call counter: the behaviour, and a counter that grows while a
 * thread lives.
 */
export const CELL = { behaviour: 0, beats: 1 } as const;
