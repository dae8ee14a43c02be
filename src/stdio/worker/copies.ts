import { assertNever, CriError, notFound } from '../../base/errors.js';
import type { Command, Notice, StreamName } from '../shared/copy-messages.js';
import type { LogCounter } from '../shared/log-counter.js';
import { createCaptureBudget, TOTAL_BYTES, type CaptureBudget } from './capture-budget.js';
import { startCaptureCopy, type CaptureCopy } from './capture-copy.js';
import { createFanOut } from './fan-out.js';
import { startLogCopy, type Copy } from './log-copy.js';
import { openLogFile } from './log-file.js';
import type { Readiness } from './readiness.js';

/** Posts a notice to the server's thread. Buffers in `transfer` are transferred, not copied. */
export type Tell = (notice: Notice, transfer?: readonly ArrayBuffer[]) => void;

/** All open streams of a copying thread. */
export interface Copies {
  /** Executes one command; throws a CriError. */
  obey(command: Exclude<Command, { kind: 'shut-down' }>): void;
  /** Closes all streams; the bytes that were read are in the logs by then. */
  close(): void;
}

export function createCopies(
  readiness: Readiness,
  counter: LogCounter,
  tell: Tell,
  budget = createCaptureBudget(),
): Copies {
  const ios = new Map<number, Io>();

  const close = (id: number): void => {
    const io = ios.get(id);
    ios.delete(id);
    io?.close();
  };

  return {
    obey(command) {
      switch (command.kind) {
        case 'open':
          ios.set(command.io, openLogs(command, { readiness, counter, tell }));
          return;
        case 'capture':
          ios.set(command.io, openCapture(command, { readiness, tell, budget }));
          return;
        case 'reopen-log': {
          const io = ios.get(command.io);
          if (io === undefined) throw notFound('io', String(command.io));
          return io.reopenLog();
        }
        case 'attach': {
          const io = ios.get(command.io);
          if (io === undefined) throw notFound('io', String(command.io));
          return io.attach(command);
        }
        case 'detach':
          return ios.get(command.io)?.detach(command.attachment);
        case 'hurry':
          return ios.get(command.io)?.hurry();
        case 'finish-capture':
          return ios.get(command.io)?.finish(command.now);
        case 'close':
          return close(command.io);
        default:
          return assertNever(command, 'command');
      }
    },
    close() {
      for (const id of [...ios.keys()]) close(id);
    },
  };
}

interface Io {
  attach(command: Extract<Command, { kind: 'attach' }>): void;
  detach(attachment: number): void;
  hurry(): void;
  reopenLog(): void;
  finish(now: boolean): void;
  close(): void;
}

function openLogs(
  { io, streams, log: file, logMustOpen, maxLineBytes }: Extract<Command, { kind: 'open' }>,
  { readiness, counter, tell }: { readiness: Readiness; counter: LogCounter; tell: Tell },
): Io {
  const log =
    file === undefined
      ? undefined
      : openLogFile({
          file,
          mustOpen: logMustOpen,
          counter,
          onTrouble: (error, droppedBytes) => tell({ kind: 'log-trouble', io, error, droppedBytes }),
          onRecovered: (droppedBytes) => tell({ kind: 'log-recovered', io, droppedBytes }),
        });
  const copies: Copy[] = [];
  const fanOuts = { stdout: createFanOut(readiness), stderr: createFanOut(readiness) };
  const detach = (attachment: number): void => {
    for (const fanOut of Object.values(fanOuts)) fanOut.remove(attachment);
  };
  const attach = (command: Extract<Command, { kind: 'attach' }>): void =>
    closingOnFailure(
      () => detach(command.attachment),
      () => {
        for (const stream of ['stdout', 'stderr'] as const) {
          const path = command[stream];
          if (path !== undefined) fanOuts[stream].add(command.attachment, path);
        }
      },
    );
  const close = (): void => {
    for (const copy of copies) copy.close();
    for (const fanOut of Object.values(fanOuts)) fanOut.end();
    log?.close();
  };
  return closingOnFailure(close, () => {
    for (const source of streams) {
      const onEnd = (error?: Error): void => tell(streamEnded(io, source.name, error));
      copies.push(startLogCopy({ source, readiness, log, maxLineBytes, fanOut: fanOuts[source.name], onEnd }));
    }
    const hurry = (): void => {
      for (const fanOut of Object.values(fanOuts)) fanOut.hurry();
    };
    return { attach, detach, hurry, reopenLog: () => log?.reopen(), finish: () => undefined, close };
  });
}

/** How long a command may be blocked because other commands hold the memory that its output needs. */
const ROOM_LIMIT_MS = 10_000;
/** Drain time of a command that exited while it waited for memory, from the time it gets the memory. */
const DRAIN_AGAIN_MS = 1_000;

function openCapture(
  { io, streams, maxBytes }: Extract<Command, { kind: 'capture' }>,
  { readiness, tell, budget }: { readiness: Readiness; tell: Tell; budget: CaptureBudget },
): Io {
  const copies = new Map<StreamName, CaptureCopy>();
  const running = new Set(streams.map((stream) => stream.name));
  const share = budget.join();
  let finished = false;
  let finishAsked = false;
  let forgetLimit: (() => void) | undefined;

  const close = (): void => {
    forgetLimit?.();
    for (const copy of copies.values()) copy.close();
    copies.clear();
    share.leave();
  };
  const fail = (): void => {
    finished = true;
    close();
    const used = `other commands have ${TOTAL_BYTES / MIB} MiB of output`;
    const message = `no memory for the output of the command for ${ROOM_LIMIT_MS / 1000} s: ${used}`;
    tell({ kind: 'capture-failed', io, code: 'RESOURCE_EXHAUSTED', message });
  };
  const onWait = (): void => {
    const waits = [...copies.values()].some((copy) => copy.waits);
    if (waits) {
      forgetLimit ??= readiness.after(ROOM_LIMIT_MS, fail);
      return;
    }
    forgetLimit?.();
    forgetLimit = undefined;
    if (finishAsked) readiness.after(DRAIN_AGAIN_MS, () => finish(false));
  };
  const finish = (now: boolean): void => {
    if (finished) return;
    finishAsked = true;
    if (!now && forgetLimit !== undefined) return;
    finished = true;
    for (const copy of copies.values()) {
      copy.takeRest();
      copy.close();
    }
    forgetLimit?.();
    const stdout = copies.get('stdout')?.bytes ?? new Uint8Array();
    const stderr = copies.get('stderr')?.bytes ?? new Uint8Array();
    const truncated = [...copies.values()].some((copy) => copy.truncated);
    tell({ kind: 'captured', io, stdout, stderr, truncated }, [stdout.buffer, stderr.buffer]);
    // The server's thread owns the buffers now. It sends `close` when it has released them.
    copies.clear();
  };

  return closingOnFailure(close, () => {
    for (const { name, path } of streams) {
      const onEnd = (error?: Error): void => {
        tell(streamEnded(io, name, error));
        running.delete(name);
        if (running.size === 0) finish(true);
      };
      copies.set(name, startCaptureCopy({ path, readiness, maxBytes, share, onWait, onEnd }));
    }
    const refuse = (): never => {
      throw new CriError('INTERNAL', `io ${io} is captured, it has no log and cannot be attached to`);
    };
    return {
      attach: refuse,
      detach: () => undefined,
      hurry: () => undefined,
      reopenLog: refuse,
      finish,
      close,
    };
  });
}

const MIB = 1024 * 1024;

const streamEnded = (io: number, stream: StreamName, error: Error | undefined): Notice => ({
  kind: 'stream-ended',
  io,
  stream,
  ...(error ? { error: error.message } : {}),
});

function closingOnFailure<T>(close: () => void, start: () => T): T {
  try {
    return start();
  } catch (thrown) {
    close();
    throw thrown;
  }
}
