import type { Socket } from 'node:net';

/** The bytes to and from one client after the upgrade of its connection (see Candidate), whatever is spoken over them. */
export interface Link {
  /** Sends; false: the client is slow, send no more before `whenDrained` calls. Nothing is sent once it is closed. */
  send(...parts: readonly Uint8Array[]): boolean;
  /** Calls once, when what was sent has left; never when the link closes first. */
  whenDrained(resume: () => void): void;
  /** Stops reading until every holder has let go; answers how to let go (idempotent). */
  hold(): () => void;
  /** Sends nothing more, and closes when all has left, in any case after `LINGER_MS`. */
  end(): void;
  /** Closes at once. */
  destroy(reason: string): void;
}

export interface LinkEvents {
  /** Throws when the client breaks its protocol. */
  onBytes(bytes: Buffer): void;
  /** Once. */
  onClosed(reason: string): void;
  /**
   * Something harmless to send while nothing is read: it is how a client that has gone shows when its end cannot be
   * seen, since that comes after bytes that are not being read.
   */
  probe(): void;
}

export function createLink(socket: Socket, idleTimeoutMs: number, events: LinkEvents): Link {
  const draining = new Set<() => void>();
  let holders = 0;
  let probing: NodeJS.Timeout | undefined;
  let reason = 'the client closed the connection';
  let ended = false;

  const letGo = (): void => {
    holders -= 1;
    if (holders > 0) return;
    clearInterval(probing);
    socket.resume();
  };

  const hold = (): (() => void) => {
    holders += 1;
    if (holders === 1) {
      socket.pause();
      probing = setInterval(() => events.probe(), PROBE_MS);
    }
    let held = true;
    return () => {
      if (held) letGo();
      held = false;
    };
  };

  const whenDrained = (resume: () => void): void => {
    if (socket.writableNeedDrain) draining.add(resume);
    else setImmediate(() => !socket.destroyed && resume());
  };

  const destroy = (why: string): void => {
    if (!ended) reason = why;
    socket.destroy();
  };

  const end = (): void => {
    if (ended) return;
    ended = true;
    socket.end();
    // What still comes is thrown away, so that the client's own end is seen.
    socket.removeListener('data', onData);
    socket.resume();
    setTimeout(() => socket.destroy(), LINGER_MS).unref();
  };

  const onData = (bytes: Buffer): void => {
    try {
      events.onBytes(bytes);
    } catch (thrown) {
      destroy(thrown instanceof Error ? thrown.message : String(thrown));
      return;
    }
    // Answers (pongs, resets) to a client that sends and does not read.
    if (socket.writableLength > UNREAD_MAX_BYTES) whenDrained(hold());
  };

  socket.setNoDelay(true);
  socket.setKeepAlive(true, KEEP_ALIVE_MS);
  socket.setTimeout(idleTimeoutMs, () => destroy(`nothing came or went for ${idleTimeoutMs / 1000} s`));
  socket.on('data', onData);
  socket.on('drain', () => {
    const resumed = [...draining];
    draining.clear();
    for (const resume of resumed) resume();
  });
  socket.on('error', (error) => {
    reason = error.message;
  });
  socket.on('close', () => {
    clearInterval(probing);
    draining.clear();
    events.onClosed(reason);
  });

  return {
    send(...parts) {
      if (ended || socket.destroyed) return true;
      socket.cork();
      for (const part of parts) socket.write(part);
      socket.uncork();
      return !socket.writableNeedDrain;
    },
    whenDrained,
    hold,
    end,
    destroy,
  };
}

const PROBE_MS = 2_000;
const KEEP_ALIVE_MS = 30_000;
const LINGER_MS = 10_000;
const UNREAD_MAX_BYTES = 16 * 1024 * 1024;
