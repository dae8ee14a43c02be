import { open } from 'node:fs/promises';
import type { Containerd } from '../containerd/containerd.js';
import { translated } from '../host/syscall/errno.js';
import type { Container } from '../state/records.js';
import { baseSnapshotOf, leaseOf } from './checkpoint-leftovers.js';

type Deps = { readonly containerd: Pick<Containerd, 'snapshots' | 'diff' | 'content'> };

/** Labels that map the owners of files. The image's snapshot needs the container's, or every file would differ. */
const OWNERS = /^containerd\.io\/snapshot\/(uid|gid)mapping$/;

/**
 * Compares the container's root file system with its image. Returns the digest of the diff, a blob of containerd's
 * under the lease.
 */
export async function rootfsDiff(
  { containerd }: Deps,
  { id, snapshotter }: Pick<Container, 'id' | 'snapshotter'>,
  signal: AbortSignal,
): Promise<string> {
  const snapshots = containerd.snapshots(snapshotter);
  const options = { signal, lease: leaseOf(id) };
  const { parent, labels } = await snapshots.stat(id, options);
  const owners = Object.fromEntries(Object.entries(labels).filter(([name]) => OWNERS.test(name)));
  const ref = baseSnapshotOf(id);
  const older = await snapshots.view(ref, parent, owners, options);
  const newer = await snapshots.mounts(id, options);
  // No timeout: the time depends on the number of files, and the operation has its limit.
  const { digest } = await containerd.diff.create({ older, newer, ref }, { ...options, timeoutMs: 0 });
  return digest;
}

export async function writeBlob(
  { containerd }: Deps,
  digest: string,
  path: string,
  signal: AbortSignal,
): Promise<void> {
  await translated(path, async () => {
    const file = await open(path, 'wx', 0o600);
    try {
      for await (const chunk of containerd.content.stream(digest, { signal })) await file.writeFile(chunk);
    } finally {
      await file.close();
    }
  });
}
