import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { open, rename, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, it } from 'node:test';
import { promisify } from 'node:util';
import { ImageSpec } from '../../../generated/runtime/v1/api.js';
import { until } from '../../../tools/stack/wait.js';
import { runningOperations } from '../../harness/operations.js';
import { pullImage, runPod } from '../../harness/pod.js';
import { startSuite } from '../rpc/suite.js';
import { testImage } from '../spec/rules.js';
import { prompt } from './calls.js';

const LIMIT_MS = 60_000;
const { image: SLOW } = testImage('groups');

describe('a start while an image cannot be read', { timeout: 180_000 }, () => {
  const suite = startSuite();

  it('serves; calls that need the images wait for them, and pods of images that were read run', async () => {
    const id = await pullImage(suite.crid, SLOW);
    await suite.crid.stop();
    // The config becomes a FIFO: containerd's open of it blocks until there is a writer.
    const config = join(suite.stack.containerd.root, 'io.containerd.content.v1.content/blobs', id.replace(':', '/'));
    await rename(config, `${config}.kept`);
    await promisify(execFile)('mkfifo', [config]);
    try {
      await suite.crid.start();
      const reading = await until('the images are being read', LIMIT_MS, async () =>
        (await runningOperations(suite.crid.runtime)).find(({ kind }) => kind === 'read images'),
      );
      assert.equal(reading.subject.endsWith(' records'), true);
      const pod = await runPod(suite.crid, suite.stack);
      const { stdout } = await pod.exec(await pod.run(), ['echo', 'runs']);
      assert.equal(stdout, 'runs\n');
      let listed = false;
      const list = suite.crid.images.listImages({}).then(({ images }) => {
        listed = true;
        return images;
      });
      await suite.crid.runtime.listPodSandbox({}, prompt());
      assert.equal(listed, false);
      await release(config);
      assert.ok((await list).length > 0);
      await pod.remove();
    } finally {
      await rm(config, { force: true });
      await rename(`${config}.kept`, config);
    }
    await suite.crid.restart();
    assert.equal((await suite.crid.images.imageStatus({ image: spec(SLOW) })).image?.id, id);
    await suite.crid.images.removeImage({ image: spec(SLOW) });
  });
});

const spec = (image: string): ImageSpec => ImageSpec.fromPartial({ image });

/** Unblocks the processes that have opened the FIFO for reading. They read nothing, which is not a valid config. */
async function release(fifo: string): Promise<void> {
  const writer = await open(fifo, 'r+');
  await rm(fifo);
  await writer.close();
}
