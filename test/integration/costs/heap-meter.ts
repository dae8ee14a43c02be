import { writeFileSync } from 'node:fs';
import { GCProfiler } from 'node:v8';
import { isMainThread } from 'node:worker_threads';

/**
 * Loaded into crid by `NODE_OPTIONS=--import`: on SIGUSR2, writes the bytes that the main thread has allocated on its
 * heap since the start to the file `CRID_TEST_HEAP_FILE`, and the number of answers so far before it.
 */

const file = process.env['CRID_TEST_HEAP_FILE'];
if (isMainThread && file !== undefined) {
  let profiler = new GCProfiler();
  let usedBefore = process.memoryUsage().heapUsed;
  let allocated = 0;
  let answers = 0;
  profiler.start();
  process.on('SIGUSR2', () => {
    const usedNow = process.memoryUsage().heapUsed;
    const freed = (profiler.stop()?.statistics ?? []).reduce(
      (sum, { beforeGC, afterGC }) => sum + beforeGC.heapStatistics.usedHeapSize - afterGC.heapStatistics.usedHeapSize,
      0,
    );
    allocated += usedNow - usedBefore + freed;
    writeFileSync(file, `${++answers} ${allocated}\n`);
    profiler = new GCProfiler();
    profiler.start();
    usedBefore = process.memoryUsage().heapUsed;
  });
}
