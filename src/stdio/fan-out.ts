import { closeSync, constants, openSync, writeSync } from 'node:fs';
import { errnoName } from '../host/errno.js';
import type { Readiness } from './readiness.js';

/** Those who are attached to one stream. */
export interface FanOut {
  /** Opens the pipe; throws what `open` throws. */
  add(attachment: number, path: string): void;
  /** Closes the pipe at once. Idempotent. */
  remove(attachment: number): void;
  /** Writes to all; false: one has no room for all of it, write no more before `whenRoom` calls. */
  write(bytes: Buffer): boolean;
  whenRoom(resume: () => void): void;
  /**
   * From now on there is room for all: what a pipe has no room for is kept for its reader, who is detached when that
   * becomes more than `KEPT_MAX_BYTES`. For the little that a container has left behind when it ended.
   */
  hurry(): void;
  /** The stream has ended: each pipe is closed once its reader has taken what was written. Idempotent. */
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
  /** What it had no room for. */
  readonly keptBytes: number;
  write(bytes: Buffer): void;
  end(): void;
  close(): void;
}

/** A pipe of a container's, and what its shim may have in hand. */
const KEPT_MAX_BYTES = 2 * 1024 * 1024;
/** A reader that takes nothing for so long while the container waits for it is given up. */
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

  /** Answers what found no room. */
  const put = (bytes: Buffer): Buffer => {
    try {
      return bytes.subarray(writeSync(fd, bytes));
    } catch (thrown) {
      if (errnoName(thrown) === 'EAGAIN') return bytes;
      // EPIPE: the client has gone.
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
      // The caller's buffer is good only until it reads again.
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
