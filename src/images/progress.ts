import { CriError } from '../base/errors.js';
import { logOf, type Logger } from '../base/log.js';
import type { PullProgress } from '../containerd/containerd.js';

const LOG_EVERY_MS = 10_000;
const MAX_LAYERS = 4096;

/** Follows the layers of one pull: what it waits on, when it last moved, and when it has stood still for too long. */
export function createProgress(options: { reference: string; log: Logger; timeoutMs: number }): {
  /** Starts the clock; the signal aborts when no byte has come for `timeoutMs` (0: never). */
  begin(): AbortSignal;
  onProgress(progress: PullProgress): void;
  waitingOn(): string | undefined;
  end(): void;
} {
  const { reference, log, timeoutMs } = options;
  const stalled = new AbortController();
  const layers = new Map<string, { done: bigint; total: bigint; event: string }>();
  let movedMs = Date.now();
  let loggedMs = Date.now();
  let watch: NodeJS.Timeout | undefined;

  const unfinished = (): string | undefined => {
    const open = [...layers].find(([, { done, total, event }]) => event !== 'complete' && done < total);
    return open && `${open[0]} (${open[1].done} of ${open[1].total} bytes)`;
  };

  const check = (): void => {
    const stillMs = Date.now() - movedMs;
    if (stillMs < timeoutMs) return;
    const what = unfinished();
    stalled.abort(
      new CriError(
        'DEADLINE_EXCEEDED',
        `image "${reference}": no progress for ${Math.round(stillMs / 1000)} s${what ? `, waiting for ${what}` : ''}`,
      ),
    );
  };

  return {
    begin() {
      movedMs = Date.now();
      if (timeoutMs > 0) watch = setInterval(check, Math.max(100, Math.min(1000, timeoutMs / 4)));
      return stalled.signal;
    },
    onProgress({ event, name, progress, total }) {
      const before = layers.get(name);
      if (!before || before.done !== progress || before.event !== event) movedMs = Date.now();
      if (name !== '' && layers.size < MAX_LAYERS) layers.set(name, { done: progress, total, event });
      logOf(log).debug({ image: reference, layer: name, event, progress, total }, 'pull progress');
      if (Date.now() - loggedMs < LOG_EVERY_MS) return;
      loggedMs = Date.now();
      const sum = (pick: 'done' | 'total'): bigint =>
        [...layers.values()].reduce((bytes, layer) => bytes + layer[pick], 0n);
      logOf(log).info({ image: reference, bytes: sum('done'), of: sum('total'), waitingOn: unfinished() }, 'pulling');
    },
    waitingOn: () => unfinished() ?? 'the registry',
    end: () => clearInterval(watch),
  };
}
