/** The copying thread: reads every container's FIFOs and writes the logs, away from the server's event loop. */
import { parentPort } from 'node:worker_threads';
import { assertNever, CriError, notFound } from '../base/errors.js';
import { startCaptureCopy, type CaptureCopy } from './capture-copy.js';
import { startLogCopy, type Copy } from './log-copy.js';
import { openLogFile, type LogFile } from './log-file.js';
import type { Command, Report, StreamName } from './messages.js';

type Io =
  | { readonly kind: 'log'; readonly copies: Map<StreamName, Copy>; readonly log: LogFile | undefined }
  | { readonly kind: 'capture'; readonly copies: Map<StreamName, CaptureCopy>; readonly open: Set<StreamName> };

const ios = new Map<number, Io>();

parentPort?.on('message', (command: Command) => {
  try {
    obey(command);
    report({ kind: 'done', request: command.request });
    if (command.kind === 'shut-down') parentPort?.close();
  } catch (thrown) {
    const { code, message } = CriError.from(thrown);
    report({ kind: 'failed', request: command.request, code, message });
  }
});

function obey(command: Command): void {
  switch (command.kind) {
    case 'open':
      return open(command);
    case 'reopen-log': {
      const io = ios.get(command.io);
      if (io?.kind !== 'log') throw notFound('io', String(command.io));
      return io.log?.reopen();
    }
    case 'capture':
      return capture(command);
    case 'finish-capture':
      return finishCapture(command.io);
    case 'close':
      return close(command.io);
    case 'shut-down':
      for (const io of [...ios.keys()]) close(io);
      return;
    default:
      assertNever(command, 'command');
  }
}

function open({ io, streams, logPath, maxLineBytes }: Extract<Command, { kind: 'open' }>): void {
  const log =
    logPath === undefined
      ? undefined
      : openLogFile(logPath, (error, droppedBytes) => report({ kind: 'log-trouble', io, error, droppedBytes }));
  const copies = new Map<StreamName, Copy>();
  ios.set(io, { kind: 'log', copies, log });
  startAll(io, () => {
    for (const source of streams) {
      const onEnd = (error?: Error): void => reportEnd(io, source.name, error);
      copies.set(source.name, startLogCopy({ source, log, maxLineBytes, onEnd }));
    }
  });
}

function capture({ io, streams, maxBytes }: Extract<Command, { kind: 'capture' }>): void {
  const copies = new Map<StreamName, CaptureCopy>();
  const open = new Set(streams.map((stream) => stream.name));
  ios.set(io, { kind: 'capture', copies, open });
  startAll(io, () => {
    for (const { name, path } of streams) {
      const onEnd = (error?: Error): void => {
        reportEnd(io, name, error);
        open.delete(name);
        if (open.size === 0) finishCapture(io);
      };
      copies.set(name, startCaptureCopy(path, maxBytes, onEnd));
    }
  });
}

/** Answers with what was captured, once: a second call finds nothing to finish. */
function finishCapture(id: number): void {
  const io = ios.get(id);
  if (io?.kind !== 'capture') return;
  close(id);
  const stdout = io.copies.get('stdout')?.bytes ?? new Uint8Array();
  const stderr = io.copies.get('stderr')?.bytes ?? new Uint8Array();
  const truncated = [...io.copies.values()].some((copy) => copy.truncated);
  parentPort?.postMessage({ kind: 'captured', io: id, stdout, stderr, truncated } satisfies Report, [
    stdout.buffer as ArrayBuffer,
    stderr.buffer as ArrayBuffer,
  ]);
}

function close(id: number): void {
  const io = ios.get(id);
  if (io === undefined) return;
  ios.delete(id);
  for (const copy of io.copies.values()) copy.close();
  if (io.kind === 'log') io.log?.close();
}

function startAll(io: number, start: () => void): void {
  try {
    start();
  } catch (thrown) {
    close(io);
    throw thrown;
  }
}

function report(what: Report): void {
  parentPort?.postMessage(what);
}

const reportEnd = (io: number, stream: StreamName, error: Error | undefined): void =>
  report({ kind: 'stream-ended', io, stream, ...(error ? { error: error.message } : {}) });
