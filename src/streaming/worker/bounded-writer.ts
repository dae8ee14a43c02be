import type { Socket } from 'node:net';
import type { ClientConnection } from './client-connection.js';

/** Writes a client's bytes into a FIFO or a socket, which may be opened after the first bytes arrived. */
export interface BoundedWriter {
  write(bytes: Buffer): void;
  /** The client sends nothing more. Idempotent. */
  end(): void;
  /** Sets the target. May be called once. */
  open(target: Socket): void;
  /** Discards all bytes, those that arrived and those that follow. Idempotent. */
  discard(): void;
}

export interface BoundedWriterOptions {
  readonly link: ClientConnection;
  /** With more than this in memory, the client is not read until the target has taken it. */
  readonly limitBytes: () => number;
  /**
   * Called once, after `end`, when everything was written into the target. The target is undefined when the bytes were
   * discarded.
   */
  readonly onFlushed: (target: Socket | undefined) => void;
}

export function createBoundedWriter({ link, limitBytes, onFlushed }: BoundedWriterOptions): BoundedWriter {
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
      // Do not wait for 'drain': it fires only when the target's high-water mark was reached, and the client would be
      // held for ever below it.
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
