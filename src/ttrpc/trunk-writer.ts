import type { Socket } from 'node:net';
import { startTimer, type Timer } from '../base/time.js';

/** How long a peer may read nothing while bytes wait for it. */
const STALL_MS = 30_000;
/** Bytes that the kernel gets at a time. The socket reports only when it has them all: they are a unit of progress. */
const WRITE_BYTES = 64 * 1024;

export interface TrunkWriter {
  /** The bytes that the kernel does not have yet. */
  readonly waitingBytes: number;
  /** Writes the parts of a message after all earlier ones. Resolves when the kernel has them, or at `end`. */
  write(parts: readonly Buffer[]): Promise<void>;
  /** Drops what waits. */
  end(): void;
}

interface Part {
  readonly bytes: Buffer;
  readonly written: (() => void) | undefined;
}

/** Calls `onStall` with a description when the peer has read nothing for a while although bytes wait for it. */
export function createTrunkWriter(socket: Socket, onStall: (description: string) => void): TrunkWriter {
  let queue: Part[] = [];
  /** Parts that the socket has, but not yet the kernel. */
  let underWay: Part[] = [];
  let waitingBytes = 0;
  let ended = false;
  let timer: Timer | undefined;

  const next = (): void => {
    if (ended || underWay.length > 0 || queue.length === 0) return;
    let bytes = 0;
    const whole = queue.findIndex((part) => (bytes += part.bytes.length) >= WRITE_BYTES) + 1;
    underWay = queue.splice(0, whole || queue.length);
    timer = startTimer(STALL_MS, () => onStall(`${waitingBytes} bytes have waited ${STALL_MS / 1000} s for it`));
    socket.cork();
    underWay.forEach((part, index) => socket.write(part.bytes, index === underWay.length - 1 ? written : undefined));
    socket.uncork();
  };
  const written = (): void => {
    timer?.clear();
    for (const part of underWay.splice(0)) {
      waitingBytes -= part.bytes.length;
      part.written?.();
    }
    next();
  };

  return {
    get waitingBytes() {
      return waitingBytes;
    },
    write: (parts) =>
      new Promise((resolve) => {
        if (ended) return resolve();
        const pieces = parts.flatMap(pieced);
        pieces.forEach((bytes, index) => {
          queue.push({ bytes, written: index === pieces.length - 1 ? resolve : undefined });
          waitingBytes += bytes.length;
        });
        next();
      }),
    end() {
      ended = true;
      timer?.clear();
      for (const part of [...underWay.splice(0), ...queue]) part.written?.();
      queue = [];
      waitingBytes = 0;
    },
  };
}

function pieced(bytes: Buffer): Buffer[] {
  return Array.from({ length: Math.ceil(bytes.length / WRITE_BYTES) }, (_, index) =>
    bytes.subarray(index * WRITE_BYTES, (index + 1) * WRITE_BYTES),
  );
}
