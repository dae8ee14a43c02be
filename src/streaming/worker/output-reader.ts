import { constants, openSync } from 'node:fs';
import { Socket } from 'node:net';
import { setPipeSize } from '../../host/pipe/fifo.js';
import type { ClientConnection } from './client-connection.js';

/** A FIFO that is read for a client. */
export interface OutputReader {
  /**
   * Called when the process has ended: delivers what is in the FIFO, then ends. If another process keeps the FIFO open,
   * the output ends after `idleMs` of silence while the client reads, or after the most that can still be in flight.
   */
  drain(idleMs: number): void;
  /** Idempotent. */
  close(): void;
}

export interface OutputReaderOptions {
  readonly path: string;
  readonly link: ClientConnection;
  /** Sends bytes to the client. Returns false when the client is slow. */
  readonly send: (bytes: Buffer) => boolean;
  /** Called once, unless the output was closed before. */
  readonly onEnd: () => void;
}

/** Opens the FIFO at once. Throws what `open` throws. */
export function openOutputReader({ path, link, send, onEnd }: OutputReaderOptions): OutputReader {
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
        // Silence does not count while a slow client keeps the FIFO from being read.
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
/** The most that can be in flight between the process and the FIFO: the process's own pipe and the shim's buffer. */
const SHIM_BYTES = 256 * 1024;
const DRAIN_TICK_MS = 50;
const DRAIN_MAX_MS = 10_000;
