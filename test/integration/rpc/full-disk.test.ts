import { mkdir, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { run } from '../../../tools/stack/exec.js';
import { podConfig, runPod } from '../../harness/pod.js';
import { assertFails, startSuite } from './suite.js';

/** The disk with crid's files is full: the error names the file, and crid works again once there is space. */

const NAMESPACE = 'crid-full-disk';
let disk = '';

const suite = startSuite({
  crid: async (stack) => {
    disk = join(stack.containerd.root, `io.crid.${NAMESPACE}`);
    await mkdir(disk, { recursive: true });
    await run('mount', ['-t', 'tmpfs', '-o', 'size=1m', 'tmpfs', disk]);
    return { config: { crid: { namespace: NAMESPACE } } };
  },
});
// The suite's hook runs first and has stopped crid.
after(async () => {
  await run('umount', [disk]);
  await rm(disk, { recursive: true });
});

test('the caller gets the file that a full disk has no space for', async () => {
  const { crid, stack } = suite;
  const ballast = join(disk, 'ballast');
  await writeFile(ballast, Buffer.alloc(2 << 20)).catch(() => undefined);
  const config = await podConfig(stack);
  const running = crid.runtime.runPodSandbox({ config });
  await assertFails(running, 'RESOURCE_EXHAUSTED', 'make pod files: ', join(disk, 'sandboxes'), 'ENOSPC');
  await rm(ballast);
  const { pod_sandbox_id: id } = await crid.runtime.runPodSandbox({ config });
  await crid.runtime.removePodSandbox({ pod_sandbox_id: id });
  await (await runPod(crid, stack)).remove();
  await suite.assertNothingLeft();
});
