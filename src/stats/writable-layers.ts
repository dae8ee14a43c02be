import PQueue from 'p-queue';
import { inBackground } from '../base/background.js';
import { CriError } from '../base/errors.js';
import type { Logger } from '../base/log.js';
import { sleep, withLimit } from '../base/time.js';
import { nowNs } from '../host/syscall/clock.js';
import type { Snapshots } from '../containerd/containerd.js';
import type { Container } from '../state/records.js';

export interface LayerUsage {
  readonly bytes: bigint;
  readonly inodes: bigint;
  /** Nanoseconds since the epoch. */
  readonly measuredAtNs: bigint;
}

export interface Layer {
  /** The snapshot's key. */
  readonly id: string;
  readonly snapshotter: string;
  /** The container's phase. Only a running container changes its layer; in any other phase, it is measured once. */
  readonly phase: Container['state']['phase'];
}

/**
 * The disk usage of writable layers. A snapshotter walks all files of a layer to measure it. Callers therefore get the
 * last measurement and its time, and request a new one, which runs in the background.
 */
export interface WritableLayers {
  /** Waits for layers that were never measured, at most 1 s. Stale layers are measured again in the background. */
  want(layers: readonly Layer[]): Promise<void>;
  get(id: string): LayerUsage | undefined;
  forget(id: string): void;
}

interface Known extends LayerUsage {
  readonly atMs: number;
  readonly phase: Layer['phase'];
}

const FIRST_CONCURRENCY = 4;
const FIRST_PATIENCE_MS = 1_000;
const USAGE_TIMEOUT_MS = 30_000;
/**
 * Measuring again takes at most a fifth of the time: each measurement is followed by a pause of four times its length,
 * at least 20 ms. That is at most 50 calls per second: every 20 s for each of 1,000 running containers.
 */
const REST = 4;
const REST_AT_LEAST_MS = 20;

export function createWritableLayers(options: {
  snapshots: (snapshotter: string) => Pick<Snapshots, 'usage'>;
  freshMs: number;
  log: Logger;
}): WritableLayers {
  const { snapshots, freshMs, log } = options;
  const known = new Map<string, Known>();
  const failedAtMs = new Map<string, number>();
  const first = new Map<string, Promise<void>>();
  const firsts = new PQueue({ concurrency: FIRST_CONCURRENCY });
  /** Ordered by the time at which the layers became stale. */
  const stale = new Map<string, Layer>();
  let looking = false;

  const measure = async ({ id, snapshotter, phase }: Layer): Promise<void> => {
    try {
      const { bytes, inodes } = await snapshots(snapshotter).usage(id, { timeoutMs: USAGE_TIMEOUT_MS });
      failedAtMs.delete(id);
      known.set(id, { bytes, inodes, measuredAtNs: nowNs(), atMs: performance.now(), phase });
    } catch (thrown) {
      failedAtMs.set(id, performance.now());
      log.debug(
        { snapshotter, snapshot: id, err: CriError.from(thrown).message },
        'disk usage of a layer not measured',
      );
    }
  };
  const measureFirst = (layer: Layer): Promise<void> => {
    const begun = first.get(layer.id) ?? firsts.add(() => measure(layer)).finally(() => first.delete(layer.id));
    first.set(layer.id, begun);
    return begun;
  };
  const lookAgain = async (): Promise<void> => {
    looking = true;
    try {
      for (const [id, layer] of stale) {
        const startedMs = performance.now();
        await measure(layer);
        stale.delete(id);
        await sleep(Math.max(REST_AT_LEAST_MS, (performance.now() - startedMs) * REST));
      }
    } finally {
      looking = false;
    }
  };
  const isDue = ({ id, phase }: Layer): boolean => {
    const before = known.get(id);
    if (performance.now() - (failedAtMs.get(id) ?? -Infinity) < freshMs) return false;
    return before?.phase !== phase || (phase === 'running' && performance.now() - before.atMs >= freshMs);
  };

  return {
    async want(layers) {
      const due = layers.filter(isDue);
      const unmeasured = due.filter(({ id }) => !known.has(id));
      for (const layer of due) if (known.has(layer.id)) stale.set(layer.id, layer);
      if (stale.size > 0 && !looking) inBackground(log, 'measuring the writable layers again', lookAgain());
      if (unmeasured.length > 0)
        await withLimit(Promise.all(unmeasured.map(measureFirst)), FIRST_PATIENCE_MS, () => []);
    },
    get: (id) => known.get(id),
    forget(id) {
      known.delete(id);
      failedAtMs.delete(id);
      stale.delete(id);
    },
  };
}
