import { constants, openSync } from 'node:fs';
import { Socket } from 'node:net';
import { setPipeSize } from '../host/fifo.js';
import type { Link } from './link.js';

/** A pipe that is read for a client. */
export interface Output {
  /**
   * Every writer that matters is done: what is in the pipe is delivered, then it ends. A pipe that others hold open
   * ends when it was silent for `idleMs` with the client reading, and after what the writer can have left in it.
   */
  drain(idleMs: number): void;
  /** Idempotent. */
  close(): void;
}

export interface OutputOptions {
  readonly path: string;
  readonly link: Link;
  /** False: the client is slow. */
  readonly send: (bytes: Buffer) => boolean;
  /** Once, unless closed before. */
  readonly onEnd: () => void;
}

/** Opens at once; throws what `open` throws. */
export function openOutput({ path, link, send, onEnd }: OutputOptions): Output {
  const fd = openSync(path, constants.O_RDONLY | constants.O_NONBLOCK);
  setPipeSize(fd, PIPE_BYTES);
  const socket = new Socket({ fd, readable: true, writable: false });
  let draining: NodeJS.Timeout | undefined;
  let idleLeftMs = Infinity;
  let timeLeftMs = DRAIN_MAX_MS;
  let bytesLeft = Infinity;
  let ended = false;

  const close = (): void => {
    ended = true;
    clearInterval(draining);
    socket.destroy();
  };

  const end = (): void => {
    if (ended) return;
    close();
    onEnd();
  };

  socket.on('data', (bytes: Buffer) => {
    if (ended) return;
    if (!send(bytes)) {
      socket.pause();
      link.whenDrained(() => socket.resume());
    }
    bytesLeft -= bytes.length;
    if (bytesLeft <= 0) end();
  });
  socket.on('end', end);
  socket.on('error', end);
  socket.on('close', end);

  return {
    drain(idleMs) {
      if (ended || draining) return;
      bytesLeft = PIPE_BYTES + SHIM_BYTES;
      let quietBytes = bytesLeft;
      idleLeftMs = idleMs;
      draining = setInterval(() => {
        // A slow client's time is not the writer's.
        if (socket.isPaused()) return;
        idleLeftMs = bytesLeft === quietBytes ? idleLeftMs - DRAIN_TICK_MS : idleMs;
        timeLeftMs -= DRAIN_TICK_MS;
        quietBytes = bytesLeft;
        if (idleLeftMs <= 0 || timeLeftMs <= 0) end();
      }, DRAIN_TICK_MS);
    },
    close,
  };
}

const PIPE_BYTES = 1024 * 1024;
/** What can be under way between the process and the pipe: the process's own pipe and the shim's buffer. */
const SHIM_BYTES = 256 * 1024;
const DRAIN_TICK_MS = 50;
const DRAIN_MAX_MS = 10_000;
