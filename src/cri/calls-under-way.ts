/** The number of RPCs in progress. Other threads read it and slow their work down while it is not 0. */
export interface CallsUnderWay {
  /** The counter, in shared memory. */
  readonly count: Int32Array;
  /** Counts a call; the returned function ends it. */
  begin(): () => void;
}

/** A longer call no longer counts: it waits for the end of a container or for a registry, not for the CPU. */
const COUNTED_MS = 2_000;
/**
 * A call counts this long after its end: the next call often follows, and the other threads slow down with some delay.
 */
const LINGER_MS = 50;

export function createCallsUnderWay(): CallsUnderWay {
  const count = new Int32Array(new SharedArrayBuffer(Int32Array.BYTES_PER_ELEMENT));
  return {
    count,
    begin() {
      Atomics.add(count, 0, 1);
      const forget = (): void => void Atomics.sub(count, 0, 1);
      let counted = true;
      const late = setTimeout(() => {
        counted = false;
        forget();
      }, COUNTED_MS).unref();
      return () => {
        if (!counted) return;
        clearTimeout(late);
        setTimeout(forget, LINGER_MS).unref();
      };
    },
  };
}
