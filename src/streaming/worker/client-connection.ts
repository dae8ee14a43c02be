import type { Socket } from 'node:net';
import { unacknowledged } from '../../host/pipe/send-queue.js';
import type { Throttle } from './throttle.js';

/** The byte stream to and from one client after the upgrade of its connection (see Candidate), below any protocol. */
export interface ClientConnection {
  /**
   * Sends bytes, unless the connection is closed. Returns false when the client is slow or other work goes first; the
   * caller then stops sending until `whenDrained` calls back.
   */
  send(...parts: readonly Uint8Array[]): boolean;
  /**
   * Calls back once, when the sent bytes have left and this connection may send again. Never calls back if the
   * connection closes first.
   */
  whenDrained(resume: () => void): void;
  /** Stops reading until every holder has released it. Returns the release function, which is idempotent. */
  hold(): () => void;
  /**
   * Stops sending, and closes when the client does. Without the client's close, it closes `LINGER_MS` after the client
   * has received everything, or after the idle time in which the client received nothing.
   */
  end(): void;
  /** Closes at once. */
  destroy(reason: string): void;
  /**
   * Closes after `ms`, unless the returned function is called first. The timer keeps nothing of a closed connection in
   * memory.
   */
  destroyAfter(ms: number, reason: () => string): () => void;
}

export interface ClientConnectionEvents {
  /** Throws when the client breaks its protocol. */
  onBytes(bytes: Buffer): void;
  /** Called once. */
  onClosed(reason: string): void;
  /**
   * Sends something harmless while reading is paused. A disconnect arrives behind unread bytes and cannot be seen then,
   * but a write to a dead connection fails.
   */
  probe(): void;
}

export function createClientConnection(
  socket: Socket,
  { idleTimeoutMs, throttle }: { readonly idleTimeoutMs: number; readonly throttle: Throttle },
  events: ClientConnectionEvents,
): ClientConnection {
  const turns = createTurns(socket, throttle);
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
    // Discard what still arrives, so that the client's own close is seen.
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
    // A client that sends and does not read makes responses (pongs, resets) pile up: stop reading until they have left.
    if (socket.writableLength > UNREAD_MAX_BYTES) whenDrained(hold());
    const pauseMs = throttle.restMs(bytes.length);
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

/**
 * Destroys an ended socket `LINGER_MS` after everything was delivered, or after `stalledMs` without progress before
 * that.
 */
function linger(socket: Socket, limits: ReturnType<typeof createLimits>, stalledMs: number): void {
  // Node's own buffer is not enough: megabytes may wait in the kernel, which discards them if the socket is destroyed
  // while received bytes are unread.
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

/** Decides when a connection may send again. */
function createTurns(socket: Socket, throttle: Throttle) {
  let restUntilMs = 0;
  return {
    /** Accounts for sent bytes. Returns false if the connection must pause. */
    spend(bytes: number): boolean {
      const restMs = throttle.restMs(bytes);
      if (restMs > 0) restUntilMs = performance.now() + restMs;
      return restMs === 0;
    },
    /** Calls back when the pause is over, unless the connection has closed. */
    take(resume: () => void): void {
      const ifOpen = (): void => void (!socket.destroyed && resume());
      const restMs = restUntilMs - performance.now();
      if (restMs > 0) setTimeout(ifOpen, restMs);
      else setImmediate(ifOpen);
    },
  };
}

/** Timers that can be cleared together. A closed connection must not be kept in memory until its timers are due. */
function createLimits() {
  const timers = new Set<NodeJS.Timeout>();
  return {
    /** Returns a function that cancels the timer. */
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
