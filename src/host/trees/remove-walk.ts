import { randomBytes } from 'node:crypto';
import { renameSync, rmdirSync, unlinkSync } from 'node:fs';
import { CriError } from '../../base/errors.js';
import { errnoName, fsError } from '../syscall/errno.js';
import { DT_DIR, openDirectory, type Directory, type Entry } from './directory.js';

/**
 * Removes a file, a link or a directory with its content; yields between any two entries. A repeat continues where an
 * earlier removal ended. Memory and descriptors depend neither on the number of files nor on the depth: a directory
 * that is deeper than `MAX_OPEN` is moved up to the top first. No link is followed, and no mount is entered: removing a
 * directory with a mount on it fails with EBUSY before it is opened.
 */
export function* removeWalk(path: string): Generator<void, void> {
  const place = { path: Buffer.from(path), shown: () => path };
  const removed = attempt(place, unlinkSync, ['ENOENT'], ['EISDIR']) || removeDirectory(place);
  if (removed) return;
  const top = openPlace(place);
  try {
    yield* empty(
      { directory: top, shown: place.shown },
      { top, moved: 0, name: randomBytes(NAME_BYTES).toString('hex') },
      0,
    );
  } finally {
    top.close();
  }
  if (!removeDirectory(place)) throw new CriError('ABORTED', `remove ${path}: something is written there meanwhile`);
}

/** Number of directories that are open at once, with a buffer of 32 KiB each. */
const MAX_OPEN = 32;
const NAME_BYTES = 6;

interface Walk {
  readonly top: Directory;
  /** The number of directories that were moved up to the top. */
  moved: number;
  /** The prefix of their names. */
  readonly name: string;
}

interface Open {
  readonly directory: Directory;
  shown(): string;
}

interface Place {
  readonly path: Buffer;
  /** Returns the whole path, which is built only for an error. */
  shown(): string;
}

function* empty(open: Open, walk: Walk, depth: number): Generator<void, void> {
  // Repeats the listing: some file systems leave entries out of a listing while others are removed.
  for (let found = true; found;) {
    found = false;
    open.directory.rewind();
    for (let entry = open.directory.next(); entry; entry = open.directory.next()) {
      found = true;
      yield;
      yield* removeEntry(open, entry, walk, depth);
    }
  }
}

function* removeEntry(open: Open, { name, type }: Entry, walk: Walk, depth: number): Generator<void, void> {
  const place = { path: open.directory.pathOf(name), shown: () => `${open.shown()}/${name.toString()}` };
  if (type !== DT_DIR && attempt(place, unlinkSync, ['ENOENT'], ['EISDIR'])) return;
  if (removeDirectory(place)) return;
  if (depth === MAX_OPEN) {
    walk.moved += 1;
    const target = walk.top.pathOf(Buffer.from(`.${walk.name}-${walk.moved}`));
    attempt(place, (path) => renameSync(path, target), ['ENOENT'], []);
    return;
  }
  const directory = openPlace(place);
  try {
    yield* empty({ directory, shown: place.shown }, walk, depth + 1);
  } finally {
    directory.close();
  }
  // If something was written into the directory meanwhile, the next listing finds it again.
  removeDirectory(place);
}

/** Returns false when the directory is not empty. */
const removeDirectory = (place: Place): boolean => attempt(place, rmdirSync, ['ENOENT'], ['ENOTEMPTY', 'EEXIST']);

/** Returns true when `work` succeeds or fails with an errno in `gone`, false when it fails with one in `not`. */
function attempt(place: Place, work: (path: Buffer) => void, gone: readonly string[], not: readonly string[]): boolean {
  try {
    work(place.path);
    return true;
  } catch (thrown) {
    const name = errnoName(thrown) ?? '';
    if (gone.includes(name)) return true;
    if (not.includes(name)) return false;
    throw failure(place, thrown, name);
  }
}

function openPlace(place: Place): Directory {
  try {
    return openDirectory(place.path);
  } catch (thrown) {
    throw failure(place, thrown, errnoName(thrown) ?? '');
  }
}

function failure(place: Place, thrown: unknown, name: string): CriError {
  const path = place.shown();
  if (name === 'EBUSY') {
    return new CriError('FAILED_PRECONDITION', `remove ${path}: EBUSY: something is mounted there`, { cause: thrown });
  }
  return fsError(Object.assign(new Error(name), thrown, { path }), path);
}
