import assert from 'node:assert/strict';
import { test } from 'node:test';
import { createExitTries } from '../../../src/events/exit-tries.js';
import { silent } from '../containerd/fake-containerd.js';

const EXIT = { exitStatus: 3, exitedAtNs: 1n };
/** Longer than any test runs. */
const NEVER_MS = 60 * 60_000;

/** Tries that fail while the disk is full. */
function scene(firstPauseMs = NEVER_MS) {
  const disk = { full: true, tries: 0 };
  const tries = createExitTries({
    log: silent,
    firstPauseMs,
    logKey: (id) => ({ container: id }),
    onExit: async () => {
      disk.tries += 1;
      if (disk.full) throw new Error('no space left on device');
    },
  });
  const now = () => [disk.tries, tries.isPending('c'), tries.hasSucceeded('c')];
  return { disk, tries, now };
}

test('callers wait for the first try; a failed one is retried at once on request', async () => {
  const { disk, tries, now } = scene();
  await tries.begin('c', EXIT);
  assert.deepEqual(now(), [1, true, false]);
  await tries.now('c');
  assert.deepEqual(now(), [2, true, false]);
  disk.full = false;
  await tries.now('c');
  assert.deepEqual(now(), [3, false, true]);
  await tries.now('c');
  assert.deepEqual(now(), [3, false, true]);
});

test('a failed try is retried by itself', async () => {
  const { disk, tries } = scene(1);
  await tries.begin('c', EXIT);
  disk.full = false;
  while (!tries.hasSucceeded('c')) await new Promise((resolve) => setTimeout(resolve, 1));
  assert.equal(tries.isPending('c'), false);
});

test('an exit that is reported twice is handled once, and callers share a try', async () => {
  const { disk, tries, now } = scene();
  disk.full = false;
  await Promise.all([tries.begin('c', EXIT), tries.begin('c', EXIT), tries.now('c')]);
  assert.deepEqual(now(), [1, false, true]);
});

test('a forgotten exit is not tried any more', async () => {
  const { disk, tries, now } = scene(1);
  await tries.begin('c', EXIT);
  tries.forget('c');
  disk.full = false;
  await new Promise((resolve) => setTimeout(resolve, 20));
  await tries.now('c');
  assert.deepEqual(now(), [1, false, false]);
});
