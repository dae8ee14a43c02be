import { lstatSync } from 'node:fs';
import { CriError } from '../../base/errors.js';
import { setXattr } from '../files/xattr.js';
import { errnoName } from '../syscall/errno.js';
import { createDescent } from './descent.js';
import { DT_DIR, DT_UNKNOWN, openDirectory, type Directory, type Entry } from './directory.js';

const LABEL = 'security.selinux';

/**
 * Sets the SELinux label of a file, or of a directory and everything below it; yields between any two entries. No link
 * is followed, not even one that a program puts in the place of a directory meanwhile: each entry is opened from its
 * parent's descriptor.
 */
export function* relabelWalk(path: string, label: string): Generator<void, void> {
  if (!setXattr(Buffer.from(path), LABEL, label) || !lstatSync(path).isDirectory()) return;
  const descent = createDescent(openDirectory(path));
  try {
    for (;;) {
      yield;
      const entry = descent.next();
      if (entry !== undefined) {
        if (relabelEntry(descent.here(), entry, label)) enterIfThere(() => descent.enter(entry.name));
      } else if (descent.depth() === 0) {
        return;
      } else {
        descent.leave();
      }
    }
  } finally {
    descent.close();
  }
}

/** Labels the entry and returns whether it is a directory to enter. */
function relabelEntry(directory: Directory, { name, type }: Entry, label: string): boolean {
  const path = directory.pathOf(name);
  try {
    if (!setXattr(path, LABEL, label)) return false;
    return type === DT_DIR || (type === DT_UNKNOWN && lstatSync(path).isDirectory());
  } catch (thrown) {
    if (errnoName(thrown) === 'ENOENT') return false;
    throw thrown;
  }
}

/** Skips a missing directory: programs that use the volume may remove it, or put a file or link in its place. */
function enterIfThere(enter: () => void): void {
  try {
    enter();
  } catch (thrown) {
    if (thrown instanceof CriError || !GONE.has(errnoName(thrown) ?? '')) throw thrown;
  }
}

const GONE = new Set(['ENOENT', 'ENOTDIR', 'ELOOP']);
