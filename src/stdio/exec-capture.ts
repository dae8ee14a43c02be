import { inBackground } from '../base/background.js';
import type { Logger } from '../base/log.js';
import type { OpenIo } from './container-io.js';
import type { CopyThread } from './copy-thread.js';
import { nudge, outputsOf, removeFifoSet } from './fifo-set.js';
import type { ExecCapture, FifoPaths } from './stdio.js';

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
  // The copying thread died and took along what it had captured.
  let restarted = false;

  const settle = (): void => {
    settled = true;
    clearTimeout(timer);
    options.onClosed();
  };

  const finish = (): Promise<void> =>
    thread.send({ kind: 'finish-capture', io }).catch((error: unknown) => {
      if (settled) return;
      settle();
      reject(error);
    });

  // Nobody may be waiting for the output of an exec that failed to start.
  promise.catch(() => undefined);

  const capture: ExecCapture = {
    paths,
    output: promise,
    stop(drainTimeoutMs) {
      if (settled) return;
      for (const { path } of outputsOf(paths)) nudge(path);
      if (drainTimeoutMs > 0)
        timer ??= setTimeout(() => inBackground(log, 'ending a capture', finish()), drainTimeoutMs);
    },
    async remove() {
      if (!settled) await finish();
      removeFifoSet(paths);
    },
  };

  return {
    capture,
    onReport(report) {
      if (report.kind !== 'captured' || settled) return;
      settle();
      // The copying thread forgets it as well; that it is gone already is no matter.
      thread.send({ kind: 'close', io }).catch(() => undefined);
      resolve({ stdout: report.stdout, stderr: report.stderr, truncated: report.truncated || restarted });
    },
    reopenCommand() {
      if (settled) return undefined;
      restarted = true;
      return { kind: 'capture', io, streams: outputsOf(paths), maxBytes };
    },
  };
}

function withResolvers<T>() {
  let resolve!: (value: T) => void;
  let reject!: (error: unknown) => void;
  const promise = new Promise<T>((onResolve, onReject) => {
    resolve = onResolve;
    reject = onReject;
  });
  return { promise, resolve, reject };
}
