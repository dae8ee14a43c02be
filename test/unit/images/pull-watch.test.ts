import assert from 'node:assert/strict';
import { test, type TestContext } from 'node:test';
import { createLogger } from '../../../src/base/log.js';
import { createPullWatch, type PullWatch } from '../../../src/images/pull-watch.js';

const log = createLogger('error');
const SECOND = 1000;

/** Mocks Date, and makes the monotonic clock follow it, because node:test can move only Date. */
function mockClock(t: TestContext): void {
  t.mock.timers.enable({ apis: ['setInterval', 'Date'] });
  t.mock.method(performance, 'now', () => Date.now());
}

/** Creates a watch with a mocked clock. `tell` sends it one message of the transfer service. */
function watching(t: TestContext, timeoutMs = 10 * SECOND, { to = log, watchPull = createPullWatch() } = {}) {
  const watch = watchPull({ reference: 'a.io/app:v1', timeoutMs, log: to });
  const signal = watch.begin();
  t.after(() => watch.end());
  const tell = (event: string, name: string, done = 0, total = 100): void =>
    watch.onProgress({ event, name, parents: [], progress: BigInt(done), total: BigInt(total) });
  return { watch, signal, tell };
}

const problem = (watch: PullWatch): string => watch.stalled()?.message ?? 'none';

test('a pull with progress may take any time; one without is stopped, and the blob named', (t) => {
  mockClock(t);
  const { watch, signal, tell } = watching(t);
  tell('waiting', 'layer-1');
  tell('waiting', 'layer-2');
  for (let done = 1; done < 20; done++) {
    tell('downloading', 'layer-1', done);
    t.mock.timers.tick(9 * SECOND);
  }
  assert.equal(signal.aborted, false);
  tell('downloading', 'layer-1', 19);
  t.mock.timers.tick(13 * SECOND);
  assert.equal(signal.aborted, true);
  assert.equal(watch.stalled()?.code, 'UNAVAILABLE');
  assert.equal(
    problem(watch),
    'RegistryUnavailable: image "a.io/app:v1": no progress for 10 s (image_pull_progress_timeout), waiting for layer-1 (19 of 100 bytes)',
  );
});

test('a pull from a silent registry fails too, unless there is no timeout', (t) => {
  mockClock(t);
  const [silent, patient] = [watching(t), watching(t, 0)];
  t.mock.timers.tick(3600 * SECOND);
  assert.match(problem(silent.watch), /waiting for the registry$/);
  assert.equal(problem(patient.watch), 'none');
});

test('unpacking has no time limit', (t) => {
  mockClock(t);
  const { watch, tell } = watching(t);
  tell('downloading', 'layer-1', 100);
  tell('already exists', 'layer-2', 100);
  t.mock.timers.tick(3600 * SECOND);
  assert.deepEqual([problem(watch), watch.waitingOn()], ['none', 'the snapshotter']);
});

test('a pull that waits behind another does not fail', (t) => {
  mockClock(t);
  const watchPull = createPullWatch();
  const watchingBoth = () => watching(t, 10 * SECOND, { watchPull });
  const [first, second] = [watchingBoth(), watchingBoth()];
  second.tell('waiting', 'layer-2');
  first.tell('waiting', 'layer-1');
  for (let done = 1; done < 20; done++) {
    first.tell('downloading', 'layer-1', done);
    t.mock.timers.tick(9 * SECOND);
  }
  assert.deepEqual([problem(first.watch), problem(second.watch)], ['none', 'none']);
  t.mock.timers.tick(5 * SECOND);
  assert.match(problem(first.watch), /layer-1/);
  assert.equal(problem(second.watch), 'none');
  first.watch.end();
  t.mock.timers.tick(13 * SECOND);
  assert.match(problem(second.watch), /layer-2 \(0 of 100 bytes\)$/);
});

test('a slow pull is logged: the layer, its progress, and the time without progress', (t) => {
  mockClock(t);
  const lines: unknown[] = [];
  const to = { info: (line: object) => lines.push(line), debug: () => undefined } as unknown as typeof log;
  const { tell } = watching(t, 0, { to });
  tell('already exists', 'layer-1', 100);
  tell('downloading', 'layer-2', 40, 300);
  t.mock.timers.tick(20 * SECOND);
  assert.deepEqual(lines, []);
  t.mock.timers.tick(10 * SECOND);
  assert.deepEqual(lines, [
    {
      image: 'a.io/app:v1',
      ...{ blobs: 2, doneBytes: '140', totalBytes: '400' },
      ...{ waitingOn: 'layer-2 (40 of 300 bytes)', stillMs: 30 * SECOND },
    },
  ]);
});
