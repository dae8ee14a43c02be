import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { jsonAny, SPEC_TYPE_URL } from '../../../src/containerd/any.js';
import { createContainerd } from '../../../src/containerd/client.js';
import type { Containerd } from '../../../src/containerd/containerd.js';
import { createLogger } from '../../../src/base/log.js';

/** A plain-HTTP registry with `library/busybox:latest`. */
export const registry = process.env['CRID_TEST_REGISTRY'] ?? '127.0.0.1:5000';
export const busybox = `${registry}/library/busybox:latest`;
export const snapshotter = 'overlayfs';

export const log = createLogger('warn');

export function testAddress(): string {
  const address = process.env['CRID_TEST_CONTAINERD'];
  assert.ok(address, 'set CRID_TEST_CONTAINERD to the socket of a containerd that these tests may use');
  return address;
}

export const connect = (namespace: string): Containerd => createContainerd({ address: testAddress(), namespace, log });

export async function pullBusybox(containerd: Containerd, reference = busybox): Promise<void> {
  await containerd.transfer.pull(pullOf(reference));
}

export const pullOf = (reference: string) => ({
  reference,
  hostDir: '',
  headers: {},
  snapshotter,
  labels: {},
  onProgress: (): void => undefined,
});

/**
 * Returns the chain id of an image with one platform: the snapshot that its containers start from (OCI image spec,
 * config).
 */
export async function chainId(containerd: Containerd, reference: string): Promise<string> {
  const { target } = await containerd.images.get(reference);
  const json = async (digest: string): Promise<unknown> =>
    JSON.parse(Buffer.from(await containerd.content.read(digest, 1 << 20)).toString()) as unknown;
  const manifest = (await json(target.digest)) as { config: { digest: string } };
  const config = (await json(manifest.config.digest)) as { rootfs: { diff_ids: string[] } };
  return config.rootfs.diff_ids.reduce(
    (chain, diff) => `sha256:${createHash('sha256').update(`${chain} ${diff}`).digest('hex')}`,
  );
}

export const busyboxProcess = (...args: string[]) => ({
  args,
  cwd: '/',
  env: ['PATH=/bin'],
  user: { uid: 0, gid: 0 },
  noNewPrivileges: true,
});

export const specOf = (id: string, ...args: string[]) =>
  jsonAny(SPEC_TYPE_URL, {
    ociVersion: '1.1.0',
    process: busyboxProcess(...args),
    root: { path: 'rootfs' },
    mounts: [{ destination: '/proc', type: 'proc', source: 'proc' }],
    linux: {
      cgroupsPath: `/crid-test-${id}`,
      namespaces: ['pid', 'mount', 'ipc', 'uts', 'network'].map((type) => ({ type })),
    },
  });

/** Removes everything from the client's namespace and asserts that it is empty. */
export async function empty(containerd: Containerd): Promise<void> {
  const snapshots = containerd.snapshots(snapshotter);
  for (const { containerId } of await containerd.tasks.list()) {
    await containerd.tasks.kill({ containerId, signal: 9, all: true }).catch(() => undefined);
    await containerd.tasks.wait({ containerId }, { timeoutMs: 10_000 });
    await containerd.tasks.delete(containerId);
  }
  for (const { id } of await containerd.containers.list([])) await containerd.containers.delete(id);
  for (const { id } of await containerd.sandboxes.list([])) await containerd.sandboxes.delete(id);
  for (const { id } of await containerd.leases.list([])) await containerd.leases.delete(id);
  for (const { name, kind } of await snapshots.list([])) if (kind !== 'committed') await snapshots.remove(name);
  for (const { name } of await containerd.images.list([])) await containerd.images.delete(name, true);
  // The synchronous deletion of an image runs the garbage collector; if there was no image, that of a lease does.
  await containerd.leases.create('collect', {});
  await containerd.leases.delete('collect', { sync: true });
  assert.deepEqual(await snapshots.list([]), []);
}

/** Returns the code and message of the error of `work`. */
export async function failure(work: Promise<unknown>): Promise<string> {
  try {
    await work;
  } catch (thrown) {
    const { code, message } = thrown as { code?: string; message: string };
    return `${code ?? 'no code'} ${message}`;
  }
  return 'no failure';
}
