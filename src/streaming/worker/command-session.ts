import { constants, openSync } from 'node:fs';
import { Socket } from 'node:net';
import { setPipeSize } from '../../host/pipe/fifo.js';
import type { CommandEvents, CommandTransport } from './command-transport.js';
import type { ClientConnection } from './client-connection.js';
import type { FromWorker, ToWorker } from '../shared/session-messages.js';
import { openOutputReader, type OutputReader } from './output-reader.js';
import { createBoundedWriter } from './bounded-writer.js';
import type { Session } from './session.js';

const STDIN_BUFFER_BYTES = 256 * 1024;
/**
 * The capacity of the pipes. With the default of 64 KiB, this thread and the shim would alternate, each waiting for the
 * other.
 */
const PIPE_BYTES = 1024 * 1024;
/**
 * How often and at which interval to retry the open of a stdin FIFO. A shim opens its end in a goroutine that may run
 * after the start of the process was reported, and input sent meanwhile would be lost. A shim that closed its end for
 * good never opens it again, so the retries are bounded.
 */
const OPEN_ATTEMPTS = 100;
const OPEN_AGAIN_MS = 20;

/** Runs one exec or attach in the streaming thread: copies bytes between one client and the FIFOs of a process. */
export function createCommandSession(options: {
  readonly session: number;
  readonly link: ClientConnection;
  readonly transport: (events: CommandEvents) => CommandTransport;
  readonly tell: (message: FromWorker) => void;
}): Session {
  const { session, link, tell } = options;
  const outputs = new Map<'stdout' | 'stderr', OutputReader>();
  let stdinTarget: Socket | undefined;
  let opening: NodeJS.Timeout | undefined;

  const stdin = createBoundedWriter({
    link,
    limitBytes: () => STDIN_BUFFER_BYTES,
    onFlushed(target) {
      // A pipe has one direction, so it is destroyed rather than half-closed.
      target?.destroy();
      tell({ kind: 'stdin-ended', session });
    },
  });

  const transport = options.transport({
    onReady: () => tell({ kind: 'ready', session }),
    onStdin: stdin.write,
    onStdinEnd: stdin.end,
    onResize: (size) => tell({ kind: 'resize', session, size }),
  });

  const outputEnded = (stream: 'stdout' | 'stderr'): void => {
    outputs.delete(stream);
    transport.finishOutput(stream);
    if (outputs.size === 0) tell({ kind: 'outputs-ended', session });
  };

  const read = (paths: Extract<ToWorker, { kind: 'read' }>): void => {
    try {
      for (const stream of ['stdout', 'stderr'] as const) {
        const path = paths[stream];
        if (path === undefined) continue;
        const send = (bytes: Buffer): boolean => transport.send(stream, bytes);
        outputs.set(stream, openOutputReader({ path, link, send, onEnd: () => outputEnded(stream) }));
      }
      tell({ kind: 'opened', session });
    } catch (thrown) {
      tell({ kind: 'open-failed', session, message: (thrown as Error).message });
    }
  };

  const feed = (path: string | undefined, attempts = OPEN_ATTEMPTS): void => {
    stdinTarget = path === undefined ? undefined : openForWriting(path);
    if (stdinTarget) stdin.open(stdinTarget);
    else if (path === undefined || attempts === 1) stdin.discard();
    else opening = setTimeout(() => feed(path, attempts - 1), OPEN_AGAIN_MS);
  };

  const stopFeeding = (): void => {
    clearTimeout(opening);
    stdin.discard();
    stdinTarget?.destroy();
  };

  const drain = (idleMs: number): void => {
    stopFeeding();
    if (outputs.size === 0) tell({ kind: 'outputs-ended', session });
    for (const output of [...outputs.values()]) output.drain(idleMs);
  };

  const release = (): void => {
    stopFeeding();
    for (const output of outputs.values()) output.close();
    outputs.clear();
  };

  return {
    receive: transport.receive,
    probe: transport.probe,
    obey(message) {
      if (message.kind === 'read') read(message);
      else if (message.kind === 'feed') feed(message.path);
      else if (message.kind === 'drain') drain(message.idleMs);
      else if (message.kind === 'finish') {
        release();
        transport.finish(message.outcome);
      }
    },
    release,
  };
}

/** Returns undefined when the FIFO has no reader: the process ended, or its stdin was closed for good. */
function openForWriting(path: string): Socket | undefined {
  try {
    const fd = openSync(path, constants.O_WRONLY | constants.O_NONBLOCK | constants.O_NOFOLLOW);
    setPipeSize(fd, PIPE_BYTES);
    const socket = new Socket({ fd, readable: false, writable: true });
    // A process may close its stdin at any time, which is not an error.
    socket.on('error', () => socket.destroy());
    return socket;
  } catch {
    return undefined;
  }
}
