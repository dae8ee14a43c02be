import assert from 'node:assert/strict';
import { test } from 'node:test';
import { ContainerState } from '../../../generated/runtime/v1/api.js';
import { until } from '../../../tools/stack/wait.js';
import { assertNumbered, createLines } from '../../harness/lines.js';
import { startSuite } from '../rpc/suite.js';

/** Tests with real containers. test/unit/stdio/many.test.ts tests a thousand streams without containerd. */

const suite = startSuite({ withPod: true });
const SLOW = 20;
const SLOW_LINES = 60;
const FAST_LINES = 500_000;
const AT_ONCE = 3;
const WAIT_LIMIT_MS = 180_000;

test(`${SLOW} containers that write slowly, and one that writes as fast as it can: every line of each`, async () => {
  const lines = await createLines(suite.stack.dir);
  const slow = { bytesPerSecond: 500, count: SLOW_LINES, widthBytes: 50 };
  const wanted = [
    { ...slow, name: 'fast', bytesPerSecond: 0, count: FAST_LINES },
    ...Array.from({ length: SLOW }, (_, index) => ({ ...slow, name: `slow-${index}` })),
  ];
  const ids: string[] = [];
  const queue = [...wanted];
  await Promise.all(
    Array.from({ length: AT_ONCE }, async () => {
      for (let one = queue.shift(); one; one = queue.shift()) {
        ids.push(await suite.pod.run({ name: one.name, ...lines.container(one) }));
      }
    }),
  );
  await lines.go();
  await until('all have ended', WAIT_LIMIT_MS, async () => {
    const { containers } = await suite.crid.runtime.listContainers({ filter: { pod_sandbox_id: suite.pod.id } });
    return containers.every(({ state }) => state === ContainerState.CONTAINER_EXITED) || undefined;
  });
  const counts = await Promise.all(
    wanted.map(async ({ name }) => (await assertNumbered([suite.pod.logPath(name)])).lines),
  );
  assert.deepEqual(
    counts,
    wanted.map(({ count }) => count),
  );
  for (const id of ids) await suite.crid.runtime.removeContainer({ container_id: id });
});
