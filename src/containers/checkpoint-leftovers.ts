import { randomBytes } from 'node:crypto';
import { existsSync } from 'node:fs';
import { readFile, rm } from 'node:fs/promises';
import { basename, dirname, join } from 'node:path';
import { isCode } from '../base/errors.js';
import { ensureDirectory, removeTree, writeFileAtomic } from '../host/files/files.js';
import type { Container } from '../state/records.js';
import type { ContainerDeps } from './container-deps.js';

/** The files of a checkpoint while it is made; `clearCheckpoint` removes them. */
export interface Checkpoint {
  /** Directory whose content becomes the archive. */
  readonly archive: string;
  /** Path of the unfinished archive, beside its final place. */
  readonly temporary: string;
  file(name: string): string;
}

type Deps = Pick<ContainerDeps, 'containerd' | 'directories'>;

export const leaseOf = (containerId: string): string => `crid-checkpoint-${containerId}`;
export const baseSnapshotOf = (containerId: string): string => `crid-checkpoint-${containerId}`;

/**
 * Makes the checkpoint's directory. After a kill, the next start learns from it that there is a checkpoint to undo, and
 * the path of the unfinished archive.
 */
export async function beginCheckpoint(deps: Deps, id: string, location: string): Promise<Checkpoint> {
  const directory = directoryOf(deps, id);
  const archive = join(directory, 'archive');
  const temporary = join(dirname(location), `.${basename(location)}.${randomBytes(6).toString('hex')}`);
  await ensureDirectory(directory, 0o700);
  await writeFileAtomic(join(directory, TEMPORARY), temporary);
  await ensureDirectory(archive, 0o700);
  return { archive, temporary, file: (name) => join(archive, name) };
}

/** Whether a checkpoint is being made, or was when crid was killed. */
export const hasCheckpoint = (deps: Deps, id: string): boolean => existsSync(directoryOf(deps, id));

/**
 * Undoes a checkpoint, except an archive at its final place: resumes the container and removes the lease, the snapshot
 * and the files. The directory goes last, because it marks the checkpoint as unfinished. Succeeds when there is nothing
 * to undo.
 */
export async function clearCheckpoint(deps: Deps, container: Pick<Container, 'id' | 'snapshotter'>): Promise<void> {
  const { id } = container;
  const { leases, snapshots } = deps.containerd;
  await resume(deps, id);
  await snapshots(container.snapshotter).remove(baseSnapshotOf(id));
  await leases.delete(leaseOf(id));
  const directory = directoryOf(deps, id);
  const temporary = await readFile(join(directory, TEMPORARY), 'utf8').catch(() => undefined);
  if (temporary !== undefined) await rm(temporary, { force: true });
  await removeTree(directory);
}

async function resume({ containerd: { tasks } }: Deps, id: string): Promise<void> {
  try {
    const { status } = await tasks.get({ containerId: id }, { timeoutMs: TASK_TIMEOUT_MS });
    if (status === 'paused' || status === 'pausing') await tasks.resume(id, { timeoutMs: TASK_TIMEOUT_MS });
  } catch (thrown) {
    if (!isCode(thrown, 'NOT_FOUND')) throw thrown;
  }
}

const TEMPORARY = 'temporary';
const TASK_TIMEOUT_MS = 10_000;

const directoryOf = ({ directories }: Deps, id: string): string => join(directories.containerRoot(id), 'checkpoint');
