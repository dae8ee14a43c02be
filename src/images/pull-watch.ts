import { CriError } from '../base/errors.js';
import type { Logger } from '../base/log.js';
import type { PullProgress } from '../containerd/containerd.js';
import { createBlobs, type Blobs } from './pull-blobs.js';

/** Watches one pull: what it waits for, and whether it has stalled. */
export interface PullWatch {
  /** Starts the timeout; the returned signal aborts when there was no progress for that long. */
  begin(): AbortSignal;
  readonly onProgress: (progress: PullProgress) => void;
  /** `layer-sha256:… (12 of 34 bytes)` */
  readonly waitingOn: () => string;
  /** Returns the error with which the pull was stopped, if it was. */
  stalled(): CriError | undefined;
  end(): void;
}

const REPORT_EVERY_MS = 30_000;
const MAX_CHECK_MS = 10_000;
const MIN_CHECK_MS = 50;

export interface PullOptions {
  readonly reference: string;
  /** 0 is no timeout. */
  readonly timeoutMs: number;
  readonly log: Logger;
}

/** Watches all pulls of the node, since containerd's limit on downloads applies to all of them together. */
export type WatchPull = (pull: PullOptions) => PullWatch;

export function createPullWatch(): WatchPull {
  const running = new Set<Blobs>();
  return (pull) => watchPull(pull, running);
}

function watchPull({ reference, timeoutMs, log }: PullOptions, running: Set<Blobs>): PullWatch {
  const stop = new AbortController();
  const blobs = createBlobs();
  let movedMs = performance.now();
  let timer: NodeJS.Timeout | undefined;
  let reportedMs = performance.now();

  const check = (): void => {
    if (!waitsForRegistry(blobs, running)) movedMs = performance.now();
    if (timeoutMs > 0 && performance.now() - movedMs > timeoutMs) {
      const seconds = Math.round(timeoutMs / 100) / 10;
      const problem = `no progress for ${seconds} s (image_pull_progress_timeout), waiting for ${blobs.waitingOn()}`;
      const text = `image "${reference}": ${problem}`;
      stop.abort(new CriError('UNAVAILABLE', text, { reason: 'RegistryUnavailable' }));
    }
    if (performance.now() - reportedMs < REPORT_EVERY_MS) return;
    reportedMs = performance.now();
    const stillMs = performance.now() - movedMs;
    log.info({ image: reference, ...blobs.sum(), waitingOn: blobs.waitingOn(), stillMs }, 'pulling image');
  };

  return {
    begin() {
      movedMs = reportedMs = performance.now();
      running.add(blobs);
      const everyMs = timeoutMs > 0 ? Math.max(MIN_CHECK_MS, Math.min(MAX_CHECK_MS, timeoutMs / 4)) : MAX_CHECK_MS;
      timer = setInterval(check, everyMs);
      return stop.signal;
    },
    onProgress(progress) {
      if (!blobs.update(progress)) return;
      movedMs = performance.now();
      const { event, name, progress: done, total } = progress;
      log.debug(
        { image: reference, event, blob: name, done: done.toString(), total: total.toString() },
        'pull progress',
      );
    },
    waitingOn: () => blobs.waitingOn(),
    stalled: () => (stop.signal.aborted ? CriError.from(stop.signal.reason) : undefined),
    end() {
      clearInterval(timer);
      running.delete(blobs);
    },
  };
}

/** Returns false while the image is unpacked, or while its downloads are queued and another pull downloads. */
function waitsForRegistry(blobs: Blobs, running: ReadonlySet<Blobs>): boolean {
  const phase = blobs.phase();
  if (phase === 'unpacking') return false;
  return phase !== 'queued' || ![...running].some((other) => other !== blobs && other.phase() === 'downloading');
}
