import { CriError } from '../../base/errors.js';
import type { Logger } from '../../base/log.js';
import type { LastResort } from '../../base/last-resort.js';
import type { OpenIo } from './container-io.js';
import { createCopyThread, type CopyThread } from './copy-thread.js';
import type { LogCounters } from './log-counters.js';
import type { NewCommand } from '../shared/copy-messages.js';

export interface CopierOptions {
  /** For messages: `log` or `capture`. */
  readonly name: string;
  readonly log: Logger;
  readonly onUnhandled: LastResort['onUnhandled'] | undefined;
  readonly counters: LogCounters;
  /** The script that the thread runs. */
  readonly workerUrl: URL;
  /** Called when the copier has no streams left. */
  readonly onIdle?: () => void;
}

/** A copying thread and its open streams. A thread that replaces it opens them again. */
export interface Copier {
  readonly thread: CopyThread;
  /** The number of containers or commands whose streams are open. */
  count(): number;
  /** Sends `command` to open streams. On failure it forgets the streams and rejects. */
  enter(io: number, entry: OpenIo, command: NewCommand): Promise<void>;
  forget(io: number): void;
}

export function createCopier({ name, log, onUnhandled, counters, workerUrl, onIdle }: CopierOptions): Copier {
  const ios = new Map<number, OpenIo>();
  // Only streams whose open command has succeeded: a restart resends an open command that has no reply yet.
  const opened = new Set<number>();

  const thread = createCopyThread({
    name,
    log,
    onError:
      onUnhandled ?? ((err, origin) => log.error({ err: CriError.from(err).message, origin }, 'unhandled error')),
    onReport: (report) => ios.get(report.io)?.onReport(report),
    onRestart: () => [...opened].map((io) => ios.get(io)?.reopenCommand()).filter((command) => command !== undefined),
    counters,
    workerUrl,
  });

  const forget = (io: number): void => {
    opened.delete(io);
    if (ios.delete(io) && ios.size === 0) onIdle?.();
  };

  return {
    thread,
    count: () => ios.size,
    async enter(io, entry, command) {
      ios.set(io, entry);
      try {
        await thread.send(command);
        if (ios.has(io)) opened.add(io);
      } catch (thrown) {
        forget(io);
        throw thrown;
      }
    },
    forget,
  };
}
