import type { PullProgress } from '../containerd/containerd.js';

/** The blobs of one pull, as reported by the transfer service. */
export interface Blobs {
  /** Returns whether there was progress. */
  update(progress: PullProgress): boolean;
  /**
   * `resolving`: no blob is known yet; `queued`: no download of a missing blob has begun; `downloading`: at least one
   * has; `unpacking`: no blob is missing.
   */
  phase(): 'resolving' | 'queued' | 'downloading' | 'unpacking';
  waitingOn(): string;
  sum(): { blobs: number; doneBytes: string; totalBytes: string };
}

interface Blob {
  readonly done: bigint;
  readonly total: bigint;
  readonly event: string;
}

/** An image has at most a few hundred layers; crid ignores further blobs. */
const MAX_BLOBS = 4096;
const NAMED_BLOBS = 3;

export function createBlobs(): Blobs {
  const blobs = new Map<string, Blob>();
  let steps = 0;
  const missing = (): [string, Blob][] => [...blobs].filter(([, blob]) => !isHere(blob));
  const begun = (): [string, Blob][] => missing().filter(([, { done }]) => done > 0n);
  return {
    update({ event, name, progress, total }) {
      // The pull's own steps (resolving, saved, …) have no size. They are few, and each one counts as progress.
      if (name === '' || total <= 0n) return steps++ < MAX_BLOBS;
      const before = blobs.get(name);
      if (before ? before.event === event && before.done === progress : blobs.size >= MAX_BLOBS) return false;
      blobs.set(name, { done: progress, total, event });
      return true;
    },
    phase() {
      if (blobs.size === 0) return 'resolving';
      if (missing().length === 0) return 'unpacking';
      return begun().length > 0 ? 'downloading' : 'queued';
    },
    waitingOn() {
      if (blobs.size === 0) return 'the registry';
      const open = begun().length > 0 ? begun() : missing();
      if (open.length === 0) return 'the snapshotter';
      const named = open.slice(0, NAMED_BLOBS).map(([name, { done, total }]) => `${name} (${done} of ${total} bytes)`);
      return open.length > named.length
        ? `${named.join(', ')} and ${open.length - named.length} more`
        : named.join(', ');
    },
    sum() {
      const add = (pick: (blob: Blob) => bigint): string =>
        [...blobs.values()].reduce((sum, blob) => sum + pick(blob), 0n).toString();
      return { blobs: blobs.size, doneBytes: add(({ done }) => done), totalBytes: add(({ total }) => total) };
    },
  };
}

/** A blob only has the events `waiting` and `downloading` until it is complete; later events are about unpacking it. */
const isHere = ({ event, done, total }: Blob): boolean =>
  (event !== 'waiting' && event !== 'downloading') || done >= total;
