import { withResolvers } from '../../base/async.js';
import { inBackground } from '../../base/background.js';
import { CriError } from '../../base/errors.js';
import type { Logger } from '../../base/log.js';
import type { ExecCapture, FifoPaths } from '../stdio.js';
import type { OpenIo } from './container-io.js';
import type { CopyThread } from './copy-thread.js';
import { nudge, outputsOf, removeFifoSet } from './fifo-set.js';

type Output = Awaited<ExecCapture['output']>;

export interface ExecCaptureOptions {
  readonly io: number;
  readonly paths: FifoPaths;
  readonly maxBytes: number;
  readonly thread: CopyThread;
  readonly log: Logger;
  readonly onClosed: () => void;
}

export function createExecCapture(options: ExecCaptureOptions): OpenIo & { readonly capture: ExecCapture } {
  const { io, paths, maxBytes, thread, log } = options;
  const { promise, resolve, reject } = withResolvers<Output>();
  let timer: NodeJS.Timeout | undefined;
  let settled = false;
  let released = false;
  // The copying thread died, and the output that it had captured is lost.
  let restarted = false;

  const settle = (): void => {
    settled = true;
    clearTimeout(timer);
  };

  const release = (): void => {
    if (released) return;
    released = true;
    options.onClosed();
    // A dead thread has released its memory already.
    thread.send({ kind: 'close', io }).catch(() => undefined);
  };

  const finish = (now: boolean): Promise<void> =>
    thread.send({ kind: 'finish-capture', io, now }).catch((error: unknown) => {
      if (settled) return;
      settle();
      reject(error);
    });

  // The output of an exec that failed to start may have no reader; its rejection must not be unhandled.
  promise.catch(() => undefined);

  const capture: ExecCapture = {
    paths,
    output: promise,
    stop(drainTimeoutMs) {
      if (settled) return;
      for (const { path } of outputsOf(paths)) nudge(path);
      if (drainTimeoutMs > 0)
        timer ??= setTimeout(() => inBackground(log, 'ending a capture', finish(false)), drainTimeoutMs);
    },
    release,
    async remove() {
      if (!settled) await finish(true);
      release();
      removeFifoSet(paths);
    },
  };

  return {
    capture,
    onReport(report) {
      if (settled) return;
      if (report.kind === 'capture-failed') {
        settle();
        reject(new CriError(report.code, report.message));
      }
      if (report.kind !== 'captured') return;
      settle();
      resolve({ stdout: report.stdout, stderr: report.stderr, truncated: report.truncated || restarted });
    },
    reopenCommand() {
      if (settled) return undefined;
      restarted = true;
      return { kind: 'capture', io, streams: outputsOf(paths), maxBytes };
    },
  };
}
