/** Memory for the output of all commands that are captured at a time, beyond what each may have in any case. */
export interface CaptureBudget {
  /** For one more command, whose output is at most `RESERVED_BYTES`. */
  join(): CaptureShare;
}

export interface CaptureShare {
  /** Whether the command's output may take `bytes` more now. */
  take(bytes: number): boolean;
  /** Calls `onRoom` once others have given memory back; then ask again. */
  whenRoom(onRoom: () => void): void;
  /** Gives all back. Idempotent. */
  leave(): void;
}

/** What a stream may have without asking: a probe never waits for the output of others. */
export const OWN_BYTES = 64 * 1024;
/** The most that one command's output takes. */
export const RESERVED_BYTES = 32 * 1024 * 1024;
export const TOTAL_BYTES = 256 * 1024 * 1024;

/**
 * The command that has waited longest may always take more: `reservedBytes` are kept for it. So commands that wait for
 * each other come to an end one after the other, instead of never.
 */
export function createCaptureBudget(totalBytes = TOTAL_BYTES, reservedBytes = RESERVED_BYTES): CaptureBudget {
  let takenBytes = 0;
  /** By the order in which they first asked. */
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
