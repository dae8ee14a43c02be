import type { LastResort } from '../base/last-resort.js';
import { inBackground } from '../base/background.js';
import type { Logger } from '../base/log.js';
import { unlessAborted, withLimit } from '../base/time.js';
import { beginWait } from '../base/waits.js';
import { createContainerIo, logFileOf } from './server/container-io.js';
import { createCopier } from './server/copier.js';
import { createExecCapture } from './server/exec-capture.js';
import { checkFifoSet, makeFifoSet, outputsOf, removeFifoSet } from './server/fifo-set.js';
import { createLogCopiers } from './server/log-copiers.js';
import { createLogCounters } from './server/log-counters.js';
import { keepPipes, releasePipes, type PipeStore } from './server/pipe-store.js';
import { createStreamRegistry } from './server/stream-registry.js';
import type { NewCommand } from './shared/copy-messages.js';
import type { ContainerIo, ContainerIoRequest, FifoPaths, Stdio } from './stdio.js';

/**
 * Makes FIFOs and copies them on separate threads: one thread for captured commands, and one for each file system with
 * logs. stdin is only made: the runc shim opens it at both ends, so that a process without an attached client waits
 * instead of reading an end of file. A writer opens stdin (O_WRONLY | O_NONBLOCK) once the task exists, and CloseIO
 * ends it.
 */
export function createStdio(options: {
  log: Logger;
  /** Called with errors that end a copying thread. */
  onUnhandled?: LastResort['onUnhandled'];
  pipeStore?: PipeStore;
  /** Another worker script, for tests. */
  workerUrl?: URL;
}): Stdio {
  const { log, pipeStore, onUnhandled, workerUrl = WORKER_URL } = options;
  const counters = createLogCounters();
  const shared = { log, onUnhandled, counters, workerUrl };
  // A thread of its own, so that the output of commands never waits for a log.
  const captures = createCopier({ name: 'capture', ...shared });
  const logs = createLogCopiers(log, (onIdle) => createCopier({ name: 'log', ...shared, onIdle }));
  const { add, ...registered } = createStreamRegistry(log);
  let lastIo = 0;

  const start = async (
    request: Omit<ContainerIoRequest, 'fifoDir'>,
    paths: FifoPaths,
    logMustOpen: boolean,
  ): Promise<{ containerIo: ContainerIo; opened: Promise<void> }> => {
    const copier = await logs.of(request.logPath);
    const io = (lastIo += 1);
    const { containerId, logPath, maxLineBytes } = request;
    const entry = createContainerIo({
      io,
      request,
      paths,
      thread: copier.thread,
      log,
      onLogTrouble: (error, droppedBytes) =>
        log.error({ container: containerId, logPath, droppedBytes }, `trouble with the container's log: ${error}`),
      onLogRecovered: (droppedBytes) =>
        log.info({ container: containerId, logPath, droppedBytes }, "the container's log is written again"),
      onStreamError: (stream, error) =>
        log.error({ container: containerId, stream }, `cannot copy the stream: ${error}`),
      onClosed: () => copier.forget(io),
      onRemoved: () => pipeStore && releasePipes(pipeStore, containerId, log),
    });
    const streams = outputsOf(paths);
    const command: NewCommand = { kind: 'open', io, streams, log: logFileOf(request), logMustOpen, maxLineBytes };
    const opened = copier.enter(io, entry, command).then(() => {
      if (pipeStore) keepPipes(pipeStore, containerId, paths, log);
    });
    return { containerIo: entry.containerIo, opened };
  };

  return {
    ...registered,
    async open(request, signal) {
      const { fifoDir, containerId, stdin, terminal, logPath } = request;
      const paths = makeFifoSet({ directory: fifoDir, name: containerId, stdin, stderr: !terminal });
      const done = beginWait(() => `log "${logPath ?? ''}" to be opened`);
      return removingOnFailure(paths, async () => {
        const { containerIo, opened } = await start(request, paths, true);
        await unlessAborted(opened, signal).catch((thrown: unknown) => {
          if (signal?.aborted) inBackground(log, 'closing a log that came late', containerIo.close());
          throw thrown;
        });
        return add(containerIo);
      }).finally(done);
    },
    async reattach(request, paths) {
      checkFifoSet(paths);
      const { containerIo, opened } = await start(request, paths, false);
      const { containerId, logPath } = request;
      await withLimit(opened, REATTACH_LIMIT_MS, () => {
        log.error({ container: containerId, logPath }, 'the log does not answer, the container is read when it does');
        inBackground(log, `opening the streams of ${containerId}`, opened);
      });
      return add(containerIo);
    },
    async capture({ fifoDir, name, maxBytes }) {
      const paths = makeFifoSet({ directory: fifoDir, name, stdin: false, stderr: true });
      const io = (lastIo += 1);
      const { thread, forget } = captures;
      const entry = createExecCapture({ io, paths, maxBytes, thread, log, onClosed: () => forget(io) });
      const command: NewCommand = { kind: 'capture', io, streams: outputsOf(paths), maxBytes };
      await removingOnFailure(paths, () => captures.enter(io, entry, command));
      return entry.capture;
    },
    stalledLogs: logs.stalled,
    logCounts: counters.counts,
    async close() {
      await Promise.all([captures.thread.close(), logs.close()]);
    },
  };
}

const WORKER_URL = new URL('./copy-worker.js', import.meta.url);

/** A log that does not respond must not delay the start of crid: its container keeps running. */
const REATTACH_LIMIT_MS = 5_000;

async function removingOnFailure<T>(paths: FifoPaths, work: () => Promise<T>): Promise<T> {
  try {
    return await work();
  } catch (thrown) {
    removeFifoSet(paths);
    throw thrown;
  }
}
