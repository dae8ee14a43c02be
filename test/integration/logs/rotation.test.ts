import assert from 'node:assert/strict';
import { existsSync } from 'node:fs';
import { rename, stat } from 'node:fs/promises';
import { test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { ContainerState } from '../../../generated/runtime/v1/api.js';
import { until } from '../../../tools/stack/wait.js';
import { assertNumbered, createLines } from '../../harness/lines.js';
import { startSuite } from '../rpc/suite.js';

const suite = startSuite({ withPod: true });
const WAIT_LIMIT_MS = 120_000;
const COUNT = 1_000_000;
const MAX_ROTATIONS = 200;

const hasEnded = async (id: string): Promise<true | undefined> => {
  const { status } = await suite.crid.runtime.containerStatus({ container_id: id });
  return status?.state === ContainerState.CONTAINER_EXITED || undefined;
};

test('rotation as the kubelet does it, while the container writes as fast as it can', async () => {
  const lines = await createLines(suite.stack.dir);
  const writer = lines.container({ bytesPerSecond: 0, count: COUNT, widthBytes: 60 });
  const id = await suite.pod.run({ name: 'fast', ...writer });
  const path = suite.pod.logPath('fast');
  const rotated: string[] = [];
  while (rotated.length < MAX_ROTATIONS && !(await hasEnded(id))) {
    await sleep(20);
    const next = `${path}.${rotated.length}`;
    await rename(path, next);
    rotated.push(next);
    // The call fails if the container has just ended. A kubelet then renames the file back.
    const reopened = await suite.crid.runtime.reopenContainerLog({ container_id: id }).catch(() => undefined);
    if (reopened === undefined) break;
  }
  await until('the writer ends', WAIT_LIMIT_MS, () => hasEnded(id));
  const { lines: written } = await assertNumbered([...rotated, path].filter((file) => existsSync(file)));
  const sizes = await Promise.all(rotated.map(async (file) => (await stat(file)).size));
  assert.equal(written, COUNT);
  assert.ok(sizes.filter((size) => size > 0).length >= 3, `rotated under way: ${sizes.join(' ')}`);
  await suite.crid.runtime.removeContainer({ container_id: id });
});

test('a log that was renamed is written to until it is reopened', async () => {
  const lines = await createLines(suite.stack.dir);
  const id = await suite.pod.run({
    name: 'slow',
    ...lines.container({ bytesPerSecond: 20_000, count: 0, widthBytes: 50 }),
  });
  const path = suite.pod.logPath('slow');
  const grows = async (file: string): Promise<number> => {
    const { size } = await stat(file);
    return until(`${file} grows`, WAIT_LIMIT_MS, async () => {
      const now = (await stat(file)).size;
      return now > size ? now : undefined;
    });
  };
  await until('the log is there', WAIT_LIMIT_MS, () => existsSync(path) || undefined);
  await grows(path);
  await rename(path, `${path}.1`);
  await grows(`${path}.1`);
  assert.equal(existsSync(path), false);
  await suite.crid.runtime.reopenContainerLog({ container_id: id });
  const { size } = await stat(`${path}.1`);
  await grows(path);
  assert.equal((await stat(`${path}.1`)).size, size);
  await suite.crid.runtime.stopContainer({ container_id: id, timeout: 0n });
  await assertNumbered([`${path}.1`, path]);
  await suite.crid.runtime.removeContainer({ container_id: id });
});
