import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { open, rename, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import { promisify } from 'node:util';
import { ImageSpec } from '../../../generated/runtime/v1/api.js';
import { until } from '../../../tools/stack/wait.js';
import { startCrid, type Crid } from '../../harness/crid.js';
import { assertLeavesNothing, leaks, type Inventory } from '../../harness/leaks.js';
import { runningOperations } from '../../harness/operations.js';
import { pullImage, removeAllPods, runPod } from '../../harness/pod.js';
import { testStack, type TestStack } from '../../harness/test-stack.js';
import { testImage } from '../spec/rules.js';
import { prompt } from './calls.js';

const LIMIT_MS = 60_000;
const { image: SLOW } = testImage('groups');

describe('a start while an image cannot be read', { timeout: 180_000 }, () => {
  let stack: TestStack;
  let crid: Crid;
  let nothing: Inventory;

  before(async () => {
    stack = await testStack();
    crid = await startCrid(stack);
    await pullImage(crid);
    await (await runPod(crid, stack)).remove();
    nothing = await leaks(stack);
  });
  after(async () => {
    await removeAllPods(crid);
    await assertLeavesNothing(stack, nothing);
    await crid.stop();
  });

  it('serves; calls that need the images wait for them, and pods of images that were read run', async () => {
    const id = await pullImage(crid, SLOW);
    await crid.stop();
    // The config becomes a FIFO: containerd's open of it blocks until there is a writer.
    const config = join(stack.containerd.root, 'io.containerd.content.v1.content/blobs', id.replace(':', '/'));
    await rename(config, `${config}.kept`);
    await promisify(execFile)('mkfifo', [config]);
    try {
      await crid.start();
      const reading = await until('the images are being read', LIMIT_MS, async () =>
        (await runningOperations(crid.runtime)).find(({ kind }) => kind === 'read images'),
      );
      assert.equal(reading.subject.endsWith(' records'), true);
      const pod = await runPod(crid, stack);
      const { stdout } = await pod.exec(await pod.run(), ['echo', 'runs']);
      assert.equal(stdout, 'runs\n');
      let listed = false;
      const list = crid.images.listImages({}).then(({ images }) => {
        listed = true;
        return images;
      });
      await crid.runtime.listPodSandbox({}, prompt());
      assert.equal(listed, false);
      await release(config);
      assert.ok((await list).length > 0);
      await pod.remove();
    } finally {
      await rm(config, { force: true });
      await rename(`${config}.kept`, config);
    }
    await crid.restart();
    assert.equal((await crid.images.imageStatus({ image: spec(SLOW) })).image?.id, id);
    await crid.images.removeImage({ image: spec(SLOW) });
  });
});

const spec = (image: string): ImageSpec => ImageSpec.fromPartial({ image });

/** Unblocks the processes that have opened the FIFO for reading. They read nothing, which is not a valid config. */
async function release(fifo: string): Promise<void> {
  const writer = await open(fifo, 'r+');
  await rm(fifo);
  await writer.close();
}
