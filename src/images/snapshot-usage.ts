import PQueue from 'p-queue';
import { CriError, isCode } from '../base/errors.js';
import type { Logger } from '../base/log.js';
import { withLimit } from '../base/time.js';
import { nowNs } from '../host/syscall/clock.js';
import type { Snapshots } from '../containerd/containerd.js';

export interface Usage {
  readonly bytes: bigint;
  readonly inodes: bigint;
  /** Nanoseconds since the epoch. */
  readonly measuredAtNs: bigint;
}

export interface SnapshotUsage {
  /**
   * Returns the usage of all snapshots together, at most `freshMs` old. When measuring takes longer than 2 s, returns
   * the previous sum if there is one.
   */
  sum(): Promise<Usage>;
}

type Size = Omit<Usage, 'measuredAtNs'>;

/** The usage of a writable snapshot makes the snapshotter walk its files. */
const CONCURRENCY = 4;
const USAGE_TIMEOUT_MS = 10_000;
const PATIENCE_MS = 2_000;
const NOTHING: Size = { bytes: 0n, inodes: 0n };

/** Measures the usage of one snapshotter. A committed snapshot never changes and is measured once. */
export function createSnapshotUsage(options: {
  snapshotter: string;
  snapshots: Pick<Snapshots, 'list' | 'usage'>;
  freshMs: number;
  log: Logger;
}): SnapshotUsage {
  const { snapshots, freshMs, log, snapshotter } = options;
  let sizes: ReadonlyMap<string, Size> = new Map();
  let last: { readonly usage: Usage; readonly atMs: number } | undefined;
  let measuring: Promise<Usage> | undefined;

  const sizeOf = async (name: string, kind: string): Promise<readonly [string, Size]> => {
    const before = sizes.get(name);
    if (before && kind === 'committed') return [name, before];
    try {
      return [name, await snapshots.usage(name, { timeoutMs: USAGE_TIMEOUT_MS })];
    } catch (thrown) {
      if (isCode(thrown, 'NOT_FOUND')) return [name, NOTHING];
      // An error affects only this snapshot: its last known size is the best estimate.
      log.warn(
        { snapshotter, snapshot: name, err: CriError.from(thrown).message },
        'disk usage of a snapshot not measured',
      );
      return [name, before ?? NOTHING];
    }
  };

  const measure = async (): Promise<Usage> => {
    const measuredAtNs = nowNs();
    const queue = new PQueue({ concurrency: CONCURRENCY });
    const all = await snapshots.list([]);
    sizes = new Map(
      await queue.addAll(
        all.map(
          ({ name, kind }) =>
            () =>
              sizeOf(name, kind),
        ),
      ),
    );
    const usage = [...sizes.values()].reduce<Usage>(
      (sum, size) => ({ measuredAtNs, bytes: sum.bytes + size.bytes, inodes: sum.inodes + size.inodes }),
      { measuredAtNs, ...NOTHING },
    );
    last = { usage, atMs: performance.now() };
    return usage;
  };

  return {
    async sum() {
      if (last && performance.now() - last.atMs < freshMs) return last.usage;
      measuring ??= measure().finally(() => (measuring = undefined));
      const before = last?.usage;
      return before ? withLimit(measuring, PATIENCE_MS, () => before) : measuring;
    },
  };
}
