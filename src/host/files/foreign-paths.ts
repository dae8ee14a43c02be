import { normalize } from 'node:path';
import { CriError } from '../../base/errors.js';
import { mountOf, recentMounts, type MountInfo } from '../mount/mountinfo.js';

/**
 * Looks at a path that crid does not own, such as the source of a pod's mount, whose file server may be dead. Such a
 * call blocks a thread of libuv's pool until the server is back, and with all threads blocked no file can be read. So:
 * - equal looks share one call;
 * - at most `MAX_LOOKS`, half of the pool, run at a time, and `MAX_PER_MOUNT` on each mount; further looks wait;
 * - a look fails at once while a look at the same path, or on the same mount, has had no result for `SLOW_MS`.
 * UNAVAILABLE with the path or mount, and since when. `kind` says what the path is, such as `mount source`.
 */
export async function lookAt<T>(kind: string, path: string, look: () => Promise<T>): Promise<T> {
  const giveUpMs = performance.now() + MAX_WAIT_MS;
  for (;;) {
    // The mounts are read only when looks are slow or many.
    const mounts = isBusy() ? await recentMounts() : [];
    const same = running.get(keyOf(kind, path));
    if (same) {
      if (isSlow(same)) throw notAnswered(same, same);
      return same.result as Promise<T>;
    }
    const mount = mountOf(normalize(path), mounts)?.mountPoint;
    const neighbours = onSameMount(mount, mounts);
    const slow = neighbours.find(isSlow);
    if (slow) throw notAnswered({ kind, path }, slow, mount);
    if (running.size < MAX_LOOKS && neighbours.length < MAX_PER_MOUNT) return start(kind, path, look);
    const [oldest] = running.values();
    if (oldest && performance.now() > giveUpMs) throw notAnswered({ kind, path }, oldest);
    await nextChange();
  }
}

/** Describes the first of these paths whose look has taken a second or more, for `waitingOn` of a step. */
export function unanswered(kind: string, paths: readonly string[]): string | undefined {
  for (const path of paths) {
    const look = running.get(keyOf(kind, path));
    const seconds = look && secondsOf(look);
    if (seconds) return `${kind} "${path}", which has not answered for ${seconds} s`;
  }
  return undefined;
}

const DEFAULT_POOL = 4;
const POOL = Number(process.env['UV_THREADPOOL_SIZE']) || DEFAULT_POOL;
const MAX_LOOKS = Math.max(1, Math.floor(POOL / 2));
const MAX_PER_MOUNT = 4;
const SLOW_MS = 5_000;
/** The longest wait for a turn, since none comes while all running looks hang. */
const MAX_WAIT_MS = 30_000;
const RECHECK_MS = 500;

interface Look {
  readonly kind: string;
  readonly path: string;
  readonly sinceMs: number;
  readonly result: Promise<unknown>;
}

/** Keyed by kind and path, the oldest first. */
const running = new Map<string, Look>();
let waiting: (() => void)[] = [];

const keyOf = (kind: string, path: string): string => `${kind} ${path}`;
const ageMs = ({ sinceMs }: Look): number => performance.now() - sinceMs;
const isSlow = (look: Look): boolean => ageMs(look) > SLOW_MS;
const secondsOf = (look: Look): number => Math.floor(ageMs(look) / 1000);

function isBusy(): boolean {
  const [oldest] = running.values();
  return running.size >= Math.min(MAX_PER_MOUNT, MAX_LOOKS) || (oldest !== undefined && isSlow(oldest));
}

function start<T>(kind: string, path: string, look: () => Promise<T>): Promise<T> {
  const key = keyOf(kind, path);
  const result = look().finally(() => {
    running.delete(key);
    for (const go of waiting.splice(0)) go();
  });
  running.set(key, { kind, path, sinceMs: performance.now(), result });
  return result;
}

/**
 * Returns the running looks on the same mount. None for the root mount: a path there may lead anywhere by a link, so
 * one look that hangs says nothing about the others.
 */
const onSameMount = (mount: string | undefined, mounts: readonly MountInfo[]): Look[] =>
  mount === undefined || mount === '/'
    ? []
    : [...running.values()].filter(({ path }) => mountOf(normalize(path), mounts)?.mountPoint === mount);

function nextChange(): Promise<void> {
  return new Promise((resolve) => {
    const timer = setTimeout(go, RECHECK_MS);
    waiting.push(go);
    function go(): void {
      clearTimeout(timer);
      waiting = waiting.filter((other) => other !== go);
      resolve();
    }
  });
}

function notAnswered(asked: Pick<Look, 'kind' | 'path'>, culprit: Look, mount?: string): CriError {
  const since = `has not answered for ${secondsOf(culprit)} s`;
  const where = mount === undefined ? '' : ` on the same mount ${mount}`;
  const why = asked === culprit ? since : `waits for others: ${culprit.kind} "${culprit.path}"${where} ${since}`;
  return new CriError('UNAVAILABLE', `${asked.kind} "${asked.path}" ${why}`);
}
