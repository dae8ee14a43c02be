import type { Socket } from 'node:net';
import { unacknowledged } from '../host/send-queue.js';
import type { Pace } from './pace.js';

/** The bytes to and from one client after the upgrade of its connection (see Candidate), whatever is spoken over them. */
export interface Link {
  /**
   * Sends; false: the client is slow, or other work goes first: send no more before `whenDrained` calls. Nothing is sent
   * once it is closed.
   */
  send(...parts: readonly Uint8Array[]): boolean;
  /** Calls once, when what was sent has left and it is this link's turn; never when the link closes first. */
  whenDrained(resume: () => void): void;
  /** Stops reading until every holder has let go; answers how to let go (idempotent). */
  hold(): () => void;
  /**
   * Sends nothing more, and closes when the client does: when it has all, after `LINGER_MS` in any case, and before that
   * when it has taken nothing for the idle time.
   */
  end(): void;
  /** Closes at once. */
  destroy(reason: string): void;
  /** Closes after so long, unless what is answered is called before; holds nothing of a link that has closed. */
  destroyAfter(ms: number, reason: () => string): () => void;
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

export function createLink(
  socket: Socket,
  { idleTimeoutMs, pace }: { readonly idleTimeoutMs: number; readonly pace: Pace },
  events: LinkEvents,
): Link {
  const turns = createTurns(socket, pace);
  const draining = new Set<() => void>();
  const limits = createLimits();
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
    else turns.take(resume);
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
    linger(socket, limits, idleTimeoutMs);
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
    const pauseMs = pace.restMs(bytes.length);
    if (pauseMs > 0) setTimeout(hold(), pauseMs);
  };

  socket.setNoDelay(true);
  socket.setKeepAlive(true, KEEP_ALIVE_MS);
  socket.setTimeout(idleTimeoutMs, () => destroy(`nothing came or went for ${idleTimeoutMs / 1000} s`));
  socket.on('data', onData);
  socket.on('drain', () => {
    const resumed = [...draining];
    draining.clear();
    for (const resume of resumed) turns.take(resume);
  });
  socket.on('error', (error) => {
    reason = error.message;
  });
  socket.on('close', () => {
    clearInterval(probing);
    limits.clear();
    draining.clear();
    events.onClosed(reason);
  });

  return {
    send(...parts) {
      if (ended || socket.destroyed) return true;
      writeTogether(socket, parts);
      const mayGoOn = turns.spend(parts.reduce((sum, { length }) => sum + length, 0));
      return mayGoOn && !socket.writableNeedDrain;
    },
    whenDrained,
    hold,
    end,
    destroy,
    destroyAfter: (ms, why) => limits.add(ms, () => destroy(why())),
  };
}

function writeTogether(socket: Socket, parts: readonly Uint8Array[]): void {
  socket.cork();
  for (const part of parts) socket.write(part);
  socket.uncork();
}

/** Destroys what has been ended: when all has left, after `LINGER_MS`; before that, when nothing has left for `stalledMs`. */
function linger(socket: Socket, limits: ReturnType<typeof createLimits>, stalledMs: number): void {
  // Not what Node has alone: megabytes may wait in the kernel, which throws them away when bytes that came are unread then.
  const left = (): number => socket.writableLength + unacknowledged(socket);

  const look = (before: number, stillMs: number): void => {
    const isOver = before === 0 ? stillMs >= LINGER_MS : stalledMs > 0 && stillMs >= stalledMs;
    if (isOver) return void socket.destroy();
    limits.add(LOOK_MS, () => {
      const now = left();
      look(now, now === before ? stillMs + LOOK_MS : 0);
    });
  };
  look(left(), 0);
}

/** When a link may send again. */
function createTurns(socket: Socket, pace: Pace) {
  let restUntilMs = 0;
  return {
    /** So much was sent; false: it rests now. */
    spend(bytes: number): boolean {
      const restMs = pace.restMs(bytes);
      if (restMs > 0) restUntilMs = performance.now() + restMs;
      return restMs === 0;
    },
    /** Calls when its rest is over, unless it has been closed by then. */
    take(resume: () => void): void {
      const ifOpen = (): void => void (!socket.destroyed && resume());
      const restMs = restUntilMs - performance.now();
      if (restMs > 0) setTimeout(ifOpen, restMs);
      else setImmediate(ifOpen);
    },
  };
}

/** Timers that hold nothing once they are cleared: what they are to end would else stay until they are due. */
function createLimits() {
  const timers = new Set<NodeJS.Timeout>();
  return {
    /** Answers how to take it back. */
    add(ms: number, act: () => void): () => void {
      const timer = setTimeout(() => {
        timers.delete(timer);
        act();
      }, ms).unref();
      timers.add(timer);
      return () => {
        clearTimeout(timer);
        timers.delete(timer);
      };
    },
    clear(): void {
      for (const timer of timers) clearTimeout(timer);
      timers.clear();
    },
  };
}

const PROBE_MS = 2_000;
const KEEP_ALIVE_MS = 30_000;
const LINGER_MS = 10_000;
const LOOK_MS = 2_000;
const UNREAD_MAX_BYTES = 16 * 1024 * 1024;
