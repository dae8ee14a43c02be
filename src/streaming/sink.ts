import type { Socket } from 'node:net';
import type { Link } from './link.js';

/** Where bytes of a client go: a pipe or a socket, which may come later than the first bytes. */
export interface Sink {
  write(bytes: Buffer): void;
  /** The client sends no more. Idempotent. */
  end(): void;
  /** Gives it what it writes into; once. */
  open(target: Socket): void;
  /** Throws away what came and what comes. Idempotent. */
  discard(): void;
}

export interface SinkOptions {
  readonly link: Link;
  /** More than this in memory, and the client is not read until it has left. */
  readonly limitBytes: () => number;
  /** Once: `end` was called, and all has been written into the target or was thrown away (undefined). */
  readonly onFlushed: (target: Socket | undefined) => void;
}

export function createSink({ link, limitBytes, onFlushed }: SinkOptions): Sink {
  const early: Buffer[] = [];
  let earlyBytes = 0;
  let target: Socket | undefined;
  let letGo: (() => void) | undefined;
  let pending = 0;
  let ended = false;
  let discarded = false;
  let flushed = false;

  const holdBack = (bytes: number): void => {
    if (bytes > limitBytes()) letGo ??= link.hold();
  };

  const release = (): void => {
    letGo?.();
    letGo = undefined;
  };

  const flushedIfEnded = (): void => {
    if (!ended || flushed || !(discarded || (target && pending === 0))) return;
    flushed = true;
    onFlushed(discarded ? undefined : target);
  };

  const pass = (bytes: Buffer): void => {
    pending += 1;
    target?.write(bytes, () => {
      pending -= 1;
      // Not on 'drain', which tells of the target's own high-water mark only: below that the client would be held for ever.
      if (pending === 0) release();
      flushedIfEnded();
    });
    holdBack(target?.writableLength ?? 0);
  };

  const discard = (): void => {
    discarded = true;
    early.length = 0;
    release();
    flushedIfEnded();
  };

  return {
    write(bytes) {
      if (discarded || ended) return;
      if (target) return pass(bytes);
      early.push(bytes);
      earlyBytes += bytes.length;
      holdBack(earlyBytes);
    },
    end() {
      if (ended) return;
      ended = true;
      flushedIfEnded();
    },
    open(socket) {
      if (discarded) return;
      target = socket;
      socket.on('close', discard);
      for (const bytes of early.splice(0)) pass(bytes);
      flushedIfEnded();
    },
    discard,
  };
}
