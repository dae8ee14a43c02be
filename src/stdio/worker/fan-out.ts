import { closeSync, constants, openSync, writeSync } from 'node:fs';
import { errnoName } from '../../host/syscall/errno.js';
import type { Readiness } from './readiness.js';

/** The attached clients of one stream. */
export interface FanOut {
  /** Opens the pipe; throws the error of open(2). */
  add(attachment: number, path: string): void;
  /** Closes the pipe at once. Idempotent. */
  remove(attachment: number): void;
  /**
   * Writes to all pipes. Returns false when a pipe has no room for all bytes: do not write again before `whenRoom`
   * calls.
   */
  write(bytes: Buffer): boolean;
  whenRoom(resume: () => void): void;
  /**
   * From now on `write` returns true. Bytes that a pipe has no room for are kept for its reader, which is detached when
   * they exceed `KEPT_MAX_BYTES`. For the remaining output of a container that has ended.
   */
  hurry(): void;
  /** The stream has ended: each pipe is closed once its kept bytes are written. Idempotent. */
  end(): void;
}

export function createFanOut(readiness: Readiness): FanOut {
  const pipes = new Map<number, AttachedPipe>();
  const resumes: (() => void)[] = [];
  let ended = false;
  let hurried = false;

  const hasRoom = (): boolean => hurried || ![...pipes.values()].some((pipe) => pipe.keptBytes > 0);

  const roomForAll = (): void => {
    if (!hasRoom()) return;
    for (const resume of resumes.splice(0)) resume();
  };

  const forget = (attachment: number): void => {
    pipes.delete(attachment);
    roomForAll();
  };

  return {
    add(attachment, path) {
      const pipe = openAttachedPipe(path, readiness, { onRoom: roomForAll, onClosed: () => forget(attachment) });
      pipes.set(attachment, pipe);
      if (ended) pipe.end();
    },
    remove: (attachment) => pipes.get(attachment)?.close(),
    write(bytes) {
      for (const pipe of [...pipes.values()]) {
        pipe.write(bytes);
        if (pipe.keptBytes > KEPT_MAX_BYTES) pipe.close();
      }
      return hasRoom();
    },
    whenRoom: (resume) => void resumes.push(resume),
    hurry() {
      hurried = true;
      roomForAll();
    },
    end() {
      ended = true;
      for (const pipe of [...pipes.values()]) pipe.end();
    },
  };
}

interface AttachedPipe {
  /** Bytes that the pipe had no room for. */
  readonly keptBytes: number;
  write(bytes: Buffer): void;
  end(): void;
  close(): void;
}

/** A full pipe of a container (1 MiB), and the bytes that its shim may hold. */
const KEPT_MAX_BYTES = 2 * 1024 * 1024;
/** Detaches a reader that takes nothing for this long while the container waits for it. */
const STALLED_MS = 30_000;

function openAttachedPipe(
  path: string,
  readiness: Readiness,
  events: { onRoom: () => void; onClosed: () => void },
): AttachedPipe {
  const fd = openSync(path, constants.O_WRONLY | constants.O_NONBLOCK);
  let left = EMPTY;
  let stopWaiting: (() => void) | undefined;
  let ended = false;
  let closed = false;

  const close = (): void => {
    if (closed) return;
    closed = true;
    stopWaiting?.();
    closeSync(fd);
    events.onClosed();
  };

  const wait = (): void => {
    const stopWatching = readiness.watchRoom(fd, onRoom);
    const forgetStall = readiness.after(STALLED_MS, close);
    stopWaiting = () => {
      stopWatching();
      forgetStall();
      stopWaiting = undefined;
    };
  };

  const onRoom = (): void => {
    stopWaiting?.();
    left = put(left);
    if (closed) return;
    if (left.length > 0) return wait();
    events.onRoom();
    if (ended) close();
  };

  /** Returns the bytes that found no room. */
  const put = (bytes: Buffer): Buffer => {
    try {
      return bytes.subarray(writeSync(fd, bytes));
    } catch (thrown) {
      if (errnoName(thrown) === 'EAGAIN') return bytes;
      // EPIPE: the client is gone.
      close();
      return EMPTY;
    }
  };

  return {
    get keptBytes() {
      return left.length;
    },
    write(bytes) {
      if (closed || ended) return;
      if (left.length > 0) {
        left = Buffer.concat([left, bytes]);
        return;
      }
      const rest = put(bytes);
      if (rest.length === 0) return;
      // A copy, since the caller reuses its buffer for the next read.
      left = Buffer.from(rest);
      wait();
    },
    end() {
      ended = true;
      if (left.length === 0) close();
    },
    close,
  };
}

const EMPTY: Buffer = Buffer.alloc(0);
