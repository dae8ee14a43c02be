import assert from 'node:assert/strict';
import { open, rm, stat, truncate } from 'node:fs/promises';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { ContainerState, PodSandboxState } from '../../../generated/runtime/v1/api.js';
import { CriError } from '../../../src/base/errors.js';
import { startCrid, type Crid } from '../../harness/crid.js';
import { assertLeavesNothing, leaks, type Inventory } from '../../harness/leaks.js';
import { containerConfig, podConfig, pullImage, removeAllPods, runPod } from '../../harness/pod.js';
import { startStack, testStack, type Stack } from '../../harness/test-stack.js';
import { prompt } from './calls.js';
import { exited } from './view.js';

const ROOT_BYTES = 64 * 1024 * 1024;
const LITTLE_ROOM_BYTES = 256 * 1024;
const FULL = /no space left on device/;

let stack: Stack;
let crid: Crid;
let nothing: Inventory;

before(async () => {
  stack = await startStack({ registryUrl: (await testStack()).registry.url, rootBytes: ROOT_BYTES });
  crid = await startCrid(stack);
  await pullImage(crid);
  await (await runPod(crid, stack)).remove();
  nothing = await leaks(stack);
});
after(async () => {
  try {
    await makeRoom();
    await removeAllPods(crid);
    await assertLeavesNothing(stack, nothing);
  } finally {
    await crid.stop();
    crid.close();
    await stack.dispose();
  }
});

/**
 * Removes something on the full disk. containerd's database may lack the free page that a deletion needs, which depends
 * on what it stored before. Then the error says so, and a little room is enough.
 */
async function removeOnFullDisk(remove: () => Promise<unknown>): Promise<void> {
  const failure = await remove().then(
    () => undefined,
    (thrown: unknown) => CriError.from(thrown).message,
  );
  if (failure === undefined) return;
  assert.match(failure, FULL);
  await truncate(filler(), (await stat(filler())).size - LITTLE_ROOM_BYTES);
  await remove();
  await fillDisk();
}

const filler = (): string => join(stack.containerd.root, 'filler');
const makeRoom = (): Promise<void> => rm(filler(), { force: true });

async function fillDisk(): Promise<void> {
  const file = await open(filler(), 'a');
  try {
    for (const size of [1 << 20, 4096]) {
      const full = await writeUntilFull(file, Buffer.alloc(size));
      assert.equal(full, 'ENOSPC');
    }
  } finally {
    await file.close();
  }
}

async function writeUntilFull(file: { write(data: Buffer): Promise<unknown> }, data: Buffer): Promise<unknown> {
  for (let written = 0; written <= ROOT_BYTES; written += data.length) {
    try {
      await file.write(data);
    } catch (error) {
      return (error as NodeJS.ErrnoException).code;
    }
  }
  return undefined;
}

test('on a full disk a create fails with the reason, and existing containers can be stopped, reported as exited and removed', async () => {
  const { runtime, images } = crid;
  const pod = await runPod(crid, stack);
  const [first, second, third] = [await pod.run(), await pod.run(), await pod.run()];
  const created = await pod.create();
  const before = await leaks(stack);
  await fillDisk();

  const config = await podConfig(stack);
  await assert.rejects(runtime.runPodSandbox({ config }), { message: FULL });
  const create = { pod_sandbox_id: pod.id, config: containerConfig(), sandbox_config: pod.config };
  await assert.rejects(runtime.createContainer(create), { message: FULL });
  await assert.rejects(images.pullImage({ image: { image: 'docker.io/crid-test/large:latest' } }), { message: FULL });
  await assertLeavesNothing(stack, before);
  assert.equal((await runtime.listPodSandbox({})).items.length, 1);

  assert.equal((await pod.exec(first, ['echo', 'well'])).stdout, 'well\n');
  await runtime.stopContainer({ container_id: first, timeout: 10n }, prompt());
  assert.equal((await exited(crid, first)).exit_code, 0);
  await removeOnFullDisk(() => runtime.removeContainer({ container_id: created }, prompt()));
  await removeOnFullDisk(() => runtime.removeContainer({ container_id: second }, prompt()));

  // The exit codes that crid could not record are read from the tasks.
  await runtime.stopContainer({ container_id: third, timeout: 0n }, prompt());
  await crid.kill9();
  await crid.start();
  const codes = await Promise.all([first, third].map(async (id) => (await exited(crid, id)).exit_code));
  assert.deepEqual(codes, [0, 137]);
  const { status } = await runtime.podSandboxStatus({ pod_sandbox_id: pod.id });
  assert.equal(status?.state, PodSandboxState.SANDBOX_READY);

  await removeOnFullDisk(() => runtime.removeContainer({ container_id: third }, prompt()));
  await removeOnFullDisk(() => runtime.stopPodSandbox({ pod_sandbox_id: pod.id }, prompt()));
  await removeOnFullDisk(() => runtime.removePodSandbox({ pod_sandbox_id: pod.id }, prompt()));
  await assertLeavesNothing(stack, nothing);

  await makeRoom();
  await (await runPod(crid, stack)).remove();
});

test('an exit on a full disk is stored once there is space', async () => {
  const pod = await runPod(crid, stack);
  const id = await pod.runReady('polite', 'trap "exit 7" TERM; echo ready; sleep 1000 & wait');
  await fillDisk();
  await crid.runtime.stopContainer({ container_id: id, timeout: 10n }, prompt());
  await makeRoom();
  // Without its task, only the record has the exit code.
  await crid.runtime.stopPodSandbox({ pod_sandbox_id: pod.id }, prompt());
  await crid.restart();
  const { status } = await crid.runtime.containerStatus({ container_id: id });
  assert.deepEqual([status?.state, status?.exit_code], [ContainerState.CONTAINER_EXITED, 7]);
  await pod.remove();
});
