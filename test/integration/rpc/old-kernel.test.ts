import assert from 'node:assert/strict';
import { readdir } from 'node:fs/promises';
import { join } from 'node:path';
import { test } from 'node:test';
import { assertFails, startSuite } from './suite.js';

/** The calls for detached mounts, and openat2. Linux before 5.2 has none of them, nor do some emulators. */
const LATER = 'open_tree,move_mount,fsopen,fsconfig,fsmount,openat2,mount_setattr';
const suite = startSuite({ crid: () => ({ env: { CRID_FAULT_ENOSYS: LATER } }), withPod: true });

test('on a kernel without detached mounts and openat2: users by name, logs, a restart', async () => {
  const by = (run_as_username: string) => ({ linux: { security_context: { run_as_username } } });
  const id = await suite.pod.run(by('daemon'));
  assert.equal((await suite.pod.exec(id, ['id', '-un'])).stdout, 'daemon\n');
  await assertFails(suite.pod.create(by('no-such-user')), 'NOT_FOUND', 'no-such-user');
  const logged = await suite.pod.runReady('logs', 'echo ready; sleep 1000');
  await suite.crid.kill9();
  await suite.crid.start();
  await suite.crid.settled();
  const { containers } = await suite.crid.runtime.listContainers({});
  assert.deepEqual(
    [id, logged].filter((each) => !containers.some((container) => container.id === each)),
    [],
  );
  for (const each of [id, logged]) await suite.crid.runtime.removeContainer({ container_id: each });
  const scratch = join(suite.stack.containerd.state, 'io.containerd.grpc.v1.cri', 'scratch');
  assert.deepEqual(await readdir(scratch), []);
  assert.match(await suite.crid.log(), /this kernel has no fsopen/);
});
