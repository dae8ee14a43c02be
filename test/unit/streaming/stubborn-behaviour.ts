/** Each thread takes one off what the first cell says, so that the one after a thread that dies never gets to listen. */
export const BEHAVIOUR = { listens: 2, dies: 1, starts: 0 } as const;

/** In the shared memory that is a streaming thread's count of calls: what a thread does, and that it lives. */
export const CELL = { behaviour: 0, beats: 1 } as const;
