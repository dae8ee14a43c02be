import { posix } from 'node:path';
import { inBackground } from '../base/background.js';
import type { Logger } from '../base/log.js';
import { mountFinder, recentMounts, type MountInfo } from '../host/mountinfo.js';
import type { Copier } from './copier.js';
import { STALLED_MS } from './pulse.js';

/**
 * The threads that write logs: one for each file system that logs are on, since a write that the file system does not
 * answer holds its thread. So it holds up the containers whose logs are there, and no others.
 */
export interface LogCopiers {
  /** The copier for a log, by the mount of its directory. A link in the path counts as where it is, not where it leads. */
  of(logPath: string | undefined): Promise<Copier>;
  /** How many logs are on file systems that have not answered for `STALLED_MS`. */
  stalled(): number;
  close(): Promise<void>;
}

/** Further file systems share the thread that has the fewest logs. */
const MAX_THREADS = 8;
/** A thread without logs is ended, but for the last one. */
const IDLE_MS = 60_000;
const LOOK_MS = 2_000;

interface Entry {
  readonly copier: Copier;
  readonly mountPoint: string;
  /** While it is held and that has been logged. */
  told: boolean;
}

export function createLogCopiers(
  log: Logger,
  make: (onIdle: () => void) => Copier,
  readMounts = recentMounts,
): LogCopiers {
  /** By `major:minor`. */
  const entries = new Map<string, Entry>();
  let find = mountFinder([]);
  let foundIn: readonly MountInfo[] = [];

  const isStalled = ({ copier }: Entry): boolean => copier.thread.busyMs() > STALLED_MS;

  const rest = (device: string): void => {
    setTimeout(() => {
      const entry = entries.get(device);
      if (entry === undefined || entry.copier.count() > 0 || entries.size === 1) return;
      // Another thread for the same file system would be held as well.
      if (isStalled(entry)) return rest(device);
      entries.delete(device);
      inBackground(log, 'ending a log thread', entry.copier.thread.close());
    }, IDLE_MS).unref();
  };

  const start = (device: string, mountPoint: string): Entry => {
    const entry = { copier: make(() => rest(device)), mountPoint, told: false };
    entries.set(device, entry);
    return entry;
  };

  const leastLoaded = (some: readonly Entry[]): Entry | undefined =>
    [...some].sort((a, b) => a.copier.count() - b.copier.count())[0];

  /** The thread that a log without one of its own goes to; undefined: it gets one. */
  const shared = (device: string): Entry | undefined => {
    const all = [...entries.values()];
    const answering = leastLoaded(all.filter((entry) => !isStalled(entry)));
    if (all.length >= MAX_THREADS) return answering ?? leastLoaded(all);
    return device === NOWHERE.device ? answering : undefined;
  };

  const tell = (): void => {
    for (const entry of entries.values()) {
      const { copier, mountPoint } = entry;
      if (isStalled(entry) === entry.told) continue;
      entry.told = !entry.told;
      const facts = { mountPoint, containers: copier.count() };
      if (!entry.told) log.info(facts, `the file system at ${mountPoint} answers again, logs are written`);
      else log.error({ ...facts, busyMs: copier.thread.busyMs() }, `logs on ${mountPoint} wait: it does not answer`);
    }
  };
  const timer = setInterval(tell, LOOK_MS).unref();

  return {
    async of(logPath) {
      const mounts = await readMounts();
      if (mounts !== foundIn) {
        find = mountFinder(mounts);
        foundIn = mounts;
      }
      const mount = logPath === undefined ? undefined : find(posix.dirname(posix.normalize(logPath)));
      const { device, mountPoint } = mount ?? NOWHERE;
      return (entries.get(device) ?? shared(device) ?? start(device, mountPoint)).copier;
    },
    stalled: () => [...entries.values()].filter(isStalled).reduce((sum, { copier }) => sum + copier.count(), 0),
    async close() {
      clearInterval(timer);
      await Promise.all([...entries.values()].map(({ copier }) => copier.thread.close()));
    },
  };
}

/** Without a log, or where the mounts cannot be read. */
const NOWHERE = { device: '', mountPoint: '' };
