import type { LastResort } from '../base/last-resort.js';
import type { Logger } from '../base/log.js';
import { createContainerIo, type OpenIo } from './container-io.js';
import { createCopyThread } from './copy-thread.js';
import { createExecCapture } from './exec-capture.js';
import { checkFifoSet, makeFifoSet, outputsOf, removeFifoSet } from './fifo-set.js';
import { logFileOf } from './log-file.js';
import type { NewCommand } from './messages.js';
import { keepPipes, releasePipes, type PipeStore } from './pipe-store.js';
import type { ContainerIo, ContainerIoRequest, FifoPaths, Stdio } from './stdio.js';

/**
 * FIFOs that are made here and copied on one thread of their own. stdin is only made: the runc shim opens it at both
 * ends, so that a process with nobody attached waits rather than reads an end; a writer opens it
 * (O_WRONLY | O_NONBLOCK) once the task exists, and CloseIO ends it.
 */
export function createStdio(options: {
  log: Logger;
  /** Hears of errors that end the copying thread. */
  onUnhandled?: LastResort['onUnhandled'];
  pipeStore?: PipeStore;
  /** Another worker script, for tests. */
  workerUrl?: URL;
}): Stdio {
  const { log, pipeStore } = options;
  const ios = new Map<number, OpenIo>();
  // Until the copying thread has answered, a restart sends the opening command itself again.
  const opened = new Set<number>();
  let lastIo = 0;

  const thread = createCopyThread({
    log,
    onError: options.onUnhandled ?? ((err, origin) => log.error({ err, origin }, 'unhandled error')),
    onReport: (report) => ios.get(report.io)?.onReport(report),
    onRestart: () => [...opened].map((io) => ios.get(io)?.reopenCommand()).filter((command) => command !== undefined),
    ...(options.workerUrl ? { workerUrl: options.workerUrl } : {}),
  });

  const forget = (io: number): void => {
    ios.delete(io);
    opened.delete(io);
  };

  const enter = async (io: number, entry: OpenIo, command: NewCommand): Promise<void> => {
    ios.set(io, entry);
    try {
      await thread.send(command);
      opened.add(io);
    } catch (thrown) {
      forget(io);
      throw thrown;
    }
  };

  const start = async (
    request: Omit<ContainerIoRequest, 'fifoDir'>,
    paths: FifoPaths,
    logMustOpen: boolean,
  ): Promise<ContainerIo> => {
    const io = (lastIo += 1);
    const { containerId, logPath, maxLineBytes } = request;
    const entry = createContainerIo({
      io,
      request,
      paths,
      thread,
      log,
      onLogTrouble: (error, droppedBytes) =>
        log.error({ containerId, logPath, droppedBytes }, `trouble with the container's log: ${error}`),
      onLogRecovered: (droppedBytes) =>
        log.info({ containerId, logPath, droppedBytes }, "the container's log is written again"),
      onStreamError: (stream, error) => log.error({ containerId, stream }, `cannot copy the stream: ${error}`),
      onClosed: () => forget(io),
      onRemoved: () => pipeStore && releasePipes(pipeStore, containerId, log),
    });
    await enter(io, entry, {
      kind: 'open',
      io,
      streams: outputsOf(paths),
      log: logFileOf(request),
      logMustOpen,
      maxLineBytes,
    });
    if (pipeStore) keepPipes(pipeStore, containerId, paths, log);
    return entry.containerIo;
  };

  return {
    async open(request) {
      const { fifoDir, containerId, stdin, terminal } = request;
      const paths = makeFifoSet({ directory: fifoDir, name: containerId, stdin, stderr: !terminal });
      return removingOnFailure(paths, () => start(request, paths, true));
    },
    async reattach(request, paths) {
      checkFifoSet(paths);
      return start(request, paths, false);
    },
    async capture({ fifoDir, name, maxBytes }) {
      const paths = makeFifoSet({ directory: fifoDir, name, stdin: false, stderr: true });
      const io = (lastIo += 1);
      const entry = createExecCapture({ io, paths, maxBytes, thread, log, onClosed: () => forget(io) });
      const command: NewCommand = { kind: 'capture', io, streams: outputsOf(paths), maxBytes };
      await removingOnFailure(paths, () => enter(io, entry, command));
      return entry.capture;
    },
    close: () => thread.close(),
  };
}

async function removingOnFailure<T>(paths: FifoPaths, work: () => Promise<T>): Promise<T> {
  try {
    return await work();
  } catch (thrown) {
    removeFifoSet(paths);
    throw thrown;
  }
}
