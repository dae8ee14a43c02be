import PQueue from 'p-queue';
import { CriError } from '../base/errors.js';
import { logOf, type Logger } from '../base/log.js';
import type { Containerd } from '../containerd/containerd.js';
import { listInPieces } from '../containerd/list-in-pieces.js';
import type { Claim } from './claims.js';

/** A running read of all images. */
export interface Reading {
  readonly records: number;
  remaining(): number;
  readonly done: Promise<void>;
}

/** Reads all images: when crid starts, and after containerd was unavailable. */
export interface Readings {
  /** Lists all records and starts to read them. A record that cannot be read is logged and left out. */
  begin(): Promise<Reading>;
  /**
   * Resolves after the first reading; until then an image not found may exist. Undefined when no first reading runs.
   */
  firstReading(): Promise<void> | undefined;
  /** The records that containerd cannot send. */
  unreadable(): readonly Claim[];
}

const CONCURRENCY = 8;

/** `refresh` reads one record; `known` returns the names of records read before, which may have been removed. */
export function createReadings(options: {
  containerd: Pick<Containerd, 'images'>;
  log: Logger;
  refresh: (name: string) => Promise<void>;
  known: () => Iterable<string>;
}): Readings {
  const { containerd, log, refresh, known } = options;
  let unreadable: readonly Claim[] = [];
  let firstReading: Promise<void> | undefined;
  let hasRead = false;

  const listNames = async (): Promise<Set<string>> => {
    const pieces = await listInPieces((filters) => containerd.images.list(filters), {
      field: 'target.digest',
      before: 'sha256:',
    });
    unreadable = pieces.unreadable.map(({ prefix, error }) => ({
      id: `sha256:${prefix}`,
      name: '',
      error: `image record: ${error.message}`,
    }));
    for (const { id, error } of unreadable) logOf(log).error({ id, err: error }, 'record not readable, left alone');
    return new Set([...pieces.records.map(({ name }) => name), ...known()]);
  };
  const read = async (name: string): Promise<void> => {
    await refresh(name).catch((thrown: unknown) => {
      logOf(log).warn({ image: name, err: CriError.from(thrown).message }, 'image could not be read');
    });
  };

  return {
    async begin() {
      const names = await listNames();
      const queue = new PQueue({ concurrency: CONCURRENCY });
      const done = queue.addAll([...names].map((name) => () => read(name))).then(() => {
        hasRead = true;
        firstReading = undefined;
      });
      if (!hasRead) firstReading ??= done;
      return { records: names.size, remaining: () => queue.size + queue.pending, done };
    },
    firstReading: () => firstReading,
    unreadable: () => unreadable,
  };
}

/** Returns the result of `find`; if undefined, calls `find` again after the first reading of all images. */
export async function onceRead<T>(
  images: Pick<Readings, 'firstReading'>,
  find: () => T | undefined,
): Promise<T | undefined> {
  const found = find();
  const reading = images.firstReading();
  if (found !== undefined || reading === undefined) return found;
  await reading;
  return find();
}
