/**
 * The memory budget for the output of all commands that are captured at the same time, beyond `OWN_BYTES` per stream.
 */
export interface CaptureBudget {
  /** Adds a command, whose output is at most `RESERVED_BYTES`. */
  join(): CaptureShare;
}

export interface CaptureShare {
  /** Reserves `bytes` more for the command's output; returns false when they are not available now. */
  take(bytes: number): boolean;
  /** Calls `onRoom` once another command has released memory; call `take` again then. */
  whenRoom(onRoom: () => void): void;
  /** Releases all memory of the command. Idempotent. */
  leave(): void;
}

/** Memory that a stream may use without `take`: a probe never waits for the output of other commands. */
export const OWN_BYTES = 64 * 1024;
/** The maximum output of one command. */
const RESERVED_BYTES = 32 * 1024 * 1024;
export const TOTAL_BYTES = 256 * 1024 * 1024;

/**
 * `reservedBytes` are kept for the command that has waited longest, which may always take more. So commands that wait
 * for each other finish one after the other, and there is no deadlock.
 */
export function createCaptureBudget(totalBytes = TOTAL_BYTES, reservedBytes = RESERVED_BYTES): CaptureBudget {
  let takenBytes = 0;
  /** In the order of their first `take`. */
  const asking = new Set<CaptureShare>();
  const waiting: (() => void)[] = [];

  return {
    join() {
      let ownBytes = 0;
      const share: CaptureShare = {
        take(bytes) {
          asking.add(share);
          const [first] = asking;
          const limit = first === share ? totalBytes : totalBytes - reservedBytes;
          if (takenBytes + bytes > limit) return false;
          takenBytes += bytes;
          ownBytes += bytes;
          return true;
        },
        whenRoom: (onRoom) => void waiting.push(onRoom),
        leave() {
          takenBytes -= ownBytes;
          ownBytes = 0;
          if (asking.delete(share)) for (const onRoom of waiting.splice(0)) onRoom();
        },
      };
      return share;
    },
  };
}
