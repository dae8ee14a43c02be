import assert from 'node:assert/strict';
import { pbkdf2 } from 'node:crypto';
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { ContainerConfig } from '../../../generated/runtime/v1/api.js';
import type { Containerd, SnapshotMount } from '../../../src/containerd/containerd.js';
import type { ContainerDeps } from '../../../src/containers/container-deps.js';
import { readRootfs } from '../../../src/containers/read-rootfs.js';
import type { Subject } from '../../../src/containers/spec-input.js';
import { countFds, folderFor } from '../host/helpers.js';

const needsRoot = process.getuid?.() === 0 ? false : 'only root can mount';

/** Occupies all threads of libuv's pool. */
function occupyThreads(): void {
  const threads = Number(process.env['UV_THREADPOOL_SIZE'] ?? 4);
  for (let thread = 0; thread < threads; thread++) pbkdf2('', '', 50_000, 64, 'sha512', () => undefined);
}

test('the rootfs is closed before the mount manager releases what is below it', { skip: needsRoot }, async (t) => {
  const root = folderFor(t);
  mkdirSync(join(root, 'etc'));
  writeFileSync(join(root, 'etc', 'passwd'), 'app:x:7:8::/:/bin/sh\n');
  const bind: SnapshotMount = { type: 'bind', source: root, target: '', options: ['rbind', 'ro'] };
  const open: number[] = [];
  const note = (): void => void open.push(countFds());
  const mounts: Partial<Containerd['mounts']> = {
    activate: ({ name }) => {
      note();
      return Promise.resolve({ name, mountPoints: [root], system: [bind] });
    },
    deactivate: () => Promise.resolve(note()),
  };
  const deps = {
    // Called between the reading and the close. The close then waits for a thread of libuv's pool.
    accounts: { of: () => undefined, keep: occupyThreads },
    config: { runtime: { ignore_image_defined_volumes: true } },
    containerd: { mounts },
    directories: { scratch: join(root, 'scratch'), containerRoot: () => root },
  } as unknown as ContainerDeps;
  const subject = {
    id: 'container',
    config: ContainerConfig.fromPartial({}),
    image: { chainId: 'sha256:11', config: { config: { User: 'app' } } },
    handler: { snapshotter: 'some' },
  } as unknown as Subject;
  const { user } = await readRootfs(deps, subject, [{ ...bind, type: 'format/bind' }], AbortSignal.timeout(60_000));
  assert.deepEqual([user.uid, user.gid], [7, 8]);
  assert.equal(open.length, 2);
  assert.equal(open[1], open[0]);
});
