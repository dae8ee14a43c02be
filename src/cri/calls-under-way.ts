/** How many calls are under way, for threads whose work makes way for them. */
export interface CallsUnderWay {
  /** One number, in shared memory. */
  readonly count: Int32Array;
  /** A call begins; answers what says that it has ended. */
  begin(): () => void;
}

/** A call that takes longer waits for something else than a processor: the end of a container, a registry. */
const COUNTED_MS = 2_000;
/** Often the next one follows, and what has made way takes some time until it does. */
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
