import { posix } from 'node:path';
import { inBackground } from '../../base/background.js';
import type { Logger } from '../../base/log.js';
import { mountFinder, recentMounts, type MountInfo } from '../../host/mount/mountinfo.js';
import { STALLED_MS } from '../shared/pulse.js';
import type { Copier } from './copier.js';

/**
 * The threads that write logs, one for each file system with logs. A write to a file system that does not respond
 * blocks its thread, so it delays only the containers with logs on that file system.
 */
export interface LogCopiers {
  /** Returns the copier for the mount of the log's directory. Symbolic links in the path are not resolved. */
  of(logPath: string | undefined): Promise<Copier>;
  /** The number of logs on file systems that have not responded for `STALLED_MS`. */
  stalled(): number;
  close(): Promise<void>;
}

/** Further file systems share the thread that has the fewest logs. */
const MAX_THREADS = 8;
/** A thread without logs ends after this time, except for the last thread. */
const IDLE_MS = 60_000;
const LOOK_MS = 2_000;

interface Entry {
  readonly copier: Copier;
  readonly mountPoint: string;
  /** True from the message that its file system stalls until the message that it responds again. */
  told: boolean;
}

export function createLogCopiers(
  log: Logger,
  make: (onIdle: () => void) => Copier,
  readMounts = recentMounts,
): LogCopiers {
  /** Keyed by the device, `major:minor`. */
  const entries = new Map<string, Entry>();
  let find = mountFinder([]);
  let foundIn: readonly MountInfo[] = [];

  const isStalled = ({ copier }: Entry): boolean => copier.thread.busyMs() > STALLED_MS;

  const rest = (device: string): void => {
    setTimeout(() => {
      const entry = entries.get(device);
      if (entry === undefined || entry.copier.count() > 0 || entries.size === 1) return;
      // Keep a stalled thread: a new thread for the same file system would stall as well.
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

  /** Returns the thread that logs on a new file system share; undefined: they get a new thread. */
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

/** For a container without a log, or when the mounts cannot be read. */
const NOWHERE = { device: '', mountPoint: '' };
