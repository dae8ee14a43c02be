import { randomBytes } from 'node:crypto';
import { currentContext } from '../base/context.js';
import { CriError, isCode } from '../base/errors.js';
import type { Activation, Containerd, Labels, SnapshotMount } from '../containerd/containerd.js';

/** A snapshot that crid mounts itself. */
export interface SnapshotToMount {
  readonly snapshotter: string;
  readonly key: string;
  readonly mounts: readonly SnapshotMount[];
}

/** Returns the names of the activations that crid has made. At a start, a kill has left them. */
export async function ownActivations({ mounts }: Pick<Containerd, 'mounts'>): Promise<string[]> {
  const all = (await unlessUnimplemented(mounts.list())) ?? [];
  return all.map(({ name }) => name).filter((name) => name.startsWith(NAME_PREFIX));
}

const NAME_PREFIX = 'crid-';

const DEACTIVATE_TIMEOUT_MS = 60_000;

/**
 * Runs `use` with the mounts of a snapshot as one that the kernel can make. containerd's mount manager makes the parts
 * that it cannot: templates (`format/…`), directories (`mkdir/…`), loop devices, erofs images, chains. They end with
 * `use`: a mount on top of them keeps its own references. Without a mount manager (before containerd 2.2), `use` gets
 * the mounts as they are.
 */
export async function withActiveMounts<T>(
  { mounts: manager }: Pick<Containerd, 'mounts'>,
  snapshot: SnapshotToMount,
  signal: AbortSignal,
  use: (mounts: readonly SnapshotMount[]) => Promise<T>,
): Promise<T> {
  if (!needsManager(snapshot.mounts)) return use(snapshot.mounts);
  const name = `${NAME_PREFIX}${snapshot.key}-${randomBytes(6).toString('hex')}`;
  const deactivate = (): Promise<void> => manager.deactivate(name, { timeoutMs: DEACTIVATE_TIMEOUT_MS });
  // containerd's garbage collector keeps the activation as long as the snapshot. A lease would do so too, but the mount
  // manager keeps an empty bucket of each lease for ever.
  const labels: Labels = { [`containerd.io/gc.bref.snapshot.${snapshot.snapshotter}`]: snapshot.key };
  const activate = async (temporary: boolean): Promise<readonly SnapshotMount[] | undefined> => {
    const request = { name, mounts: snapshot.mounts, labels, temporary };
    const activation = await unlessUnimplemented(manager.activate(request, { signal }));
    return activation && remaining(activation);
  };
  try {
    let active = await activate(false);
    if (!active || needsManager(active)) {
      if (active) await deactivate();
      active = await activate(true);
    }
    return await use(active ?? snapshot.mounts);
  } finally {
    // A failure must not replace the result: containerd removes what is left with the snapshot, and so does a start.
    await deactivate().catch((thrown: unknown) => {
      if (isCode(thrown, 'UNIMPLEMENTED')) return;
      currentContext()?.log.warn({ activation: name, err: CriError.from(thrown).message }, 'mounts not deactivated');
    });
  }
}

/** Whether the mounts are more than one ordinary mount. */
function needsManager(mounts: readonly SnapshotMount[]): boolean {
  const [mount, ...more] = mounts;
  if (!mount || more.length > 0) return true;
  return mount.type.includes('/') || mount.type === 'loop' || mount.options.includes('loop');
}

/** Returns the mounts that are left to make, else the last one that the mount manager has made. */
function remaining({ mountPoints, system }: Activation): readonly SnapshotMount[] {
  const source = mountPoints.at(-1);
  if (system.length > 0 || source === undefined) return system;
  return [{ type: 'bind', source, target: '', options: ['rbind', 'ro'] }];
}

async function unlessUnimplemented<T>(work: Promise<T>): Promise<T | undefined> {
  try {
    return await work;
  } catch (thrown) {
    ifUnimplemented(thrown);
    return undefined;
  }
}

function ifUnimplemented(thrown: unknown): void {
  if (!isCode(thrown, 'UNIMPLEMENTED')) throw thrown;
}
