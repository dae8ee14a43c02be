import assert from 'node:assert/strict';
import { test } from 'node:test';
import { pino } from 'pino';
import { CriError, type CodeName } from '../../../src/base/errors.js';
import { createOperations, type OperationRequest } from '../../../src/operation/operation.js';
import type { StepHook } from '../../../src/operation/steps.js';

const log = pino({ level: 'silent' });
const operations = (hook?: StepHook) => createOperations({ log, ...(hook ? { hook } : {}) });

const request = <T>(
  work: OperationRequest<T>['work'],
  more: Partial<OperationRequest<T>> = {},
): OperationRequest<T> => ({
  kind: 'run pod sandbox',
  subject: 'default/web',
  key: 'pod-name:web',
  fingerprint: 'a',
  caller: {},
  limitMs: 60_000,
  work,
  ...more,
});

/** A promise with its resolve function. */
function deferred<T = void>(): { promise: Promise<T>; resolve: (value: T) => void } {
  let resolve!: (value: T) => void;
  const promise = new Promise<T>((settle) => (resolve = settle));
  return { promise, resolve };
}

const refused = (code: CodeName, message: RegExp) => (thrown: unknown) => {
  assert.ok(thrown instanceof CriError);
  assert.equal(thrown.code, code);
  assert.match(thrown.message, message);
  return true;
};

test('fifty equal retries of a hung operation join it, and all get its result', async () => {
  const ops = operations();
  const release = deferred();
  let workers = 0;
  const call = () =>
    ops.run(
      request(async (steps) => {
        workers++;
        await steps.step('add network', () => release.promise);
        return 'id';
      }),
    );
  const calls = Array.from({ length: 50 }, call);
  assert.equal(ops.list()[0]?.waiters, 50);
  release.resolve();
  assert.deepEqual(new Set(await Promise.all(calls)), new Set(['id']));
  assert.equal(workers, 1);
  assert.deepEqual(ops.list(), []);
});

test('a caller whose deadline passes gets the name of the step; the operation continues and a retry joins it', async () => {
  const ops = operations();
  const release = deferred();
  const work: OperationRequest<string>['work'] = async (steps) => {
    await steps.step('add network', () => release.promise, undefined, { waitingOn: () => 'plugin bridge' });
    return 'id';
  };
  await assert.rejects(
    ops.run(request(work, { caller: { deadlineMs: performance.now() + 30 } })),
    refused(
      'DEADLINE_EXCEEDED',
      /^run pod sandbox default\/web: add network: waiting 0 s for plugin bridge; it continues/,
    ),
  );
  const retry = ops.run(request(() => Promise.reject(new Error('a second worker'))));
  release.resolve();
  assert.equal(await retry, 'id');
});

test('a step learns when the last of its callers must have its answer', async () => {
  const ops = operations();
  const release = deferred();
  let due: (() => number | undefined) | undefined;
  const call = (deadlineMs?: number): Promise<string> =>
    ops.run(
      request(
        async (steps) => {
          due = () => steps.answerDueInMs();
          await steps.step('add network', () => release.promise);
          return 'id';
        },
        { caller: { deadlineMs } },
      ),
    );
  const within = (low: number, high: number): boolean => {
    const ms = due?.() ?? -1;
    return ms > low && ms <= high;
  };
  const calls = [call(performance.now() + 50_000)];
  await new Promise((resolve) => setImmediate(resolve));
  assert.ok(within(40_000, 49_500), 'the time of its answer is a little before its deadline');
  calls.push(call(performance.now() + 100_000));
  assert.ok(within(90_000, 99_500));
  calls.push(call());
  assert.equal(due?.(), undefined);
  release.resolve();
  await Promise.all(calls);
  assert.equal(due?.(), undefined);
});

test('a failed step undoes every begun step, last first and itself included, and frees the key', async () => {
  const ops = operations();
  const order: string[] = [];
  const undo = (name: string) => async () => void order.push(name);
  await assert.rejects(
    ops.run(
      request(async (steps) => {
        await steps.step('one', () => Promise.resolve(), undo('one'));
        await steps.step('two', () => Promise.resolve(), undo('two'));
        await steps.step(
          'three',
          () => Promise.reject(new CriError('NOT_FOUND', 'image "x" not found')),
          undo('three'),
        );
      }),
    ),
    refused('NOT_FOUND', /^three: image "x" not found$/),
  );
  assert.deepEqual(order, ['three', 'two', 'one']);
  assert.equal(await ops.run(request(() => Promise.resolve('again'))), 'again');
});

test('a step that runs beside the failed one is aborted, and undone only once it has ended', async () => {
  const ops = operations();
  const order: string[] = [];
  await assert.rejects(
    ops.run(
      request(async (steps) => {
        await Promise.all([
          steps.step(
            'add network',
            (signal) =>
              new Promise((_, reject) => {
                signal.addEventListener('abort', () => {
                  order.push('told');
                  setTimeout(() => {
                    order.push('ended');
                    reject(new Error('stopped'));
                  }, 10);
                });
              }),
            async () => void order.push('undone'),
          ),
          steps.step('create task', () => Promise.reject(new CriError('INTERNAL', 'no'))),
        ]);
      }),
    ),
    refused('INTERNAL', /^create task: no$/),
  );
  assert.deepEqual(order, ['told', 'ended', 'undone']);
});

test('a failed undo is retried; steps that cannot be undone are passed to onFailed', async () => {
  const ops = operations();
  let flaky = 0;
  let told: readonly string[] = [];
  await assert.rejects(
    ops.run(
      request(
        async (steps) => {
          await steps.step(
            'flaky',
            () => Promise.resolve(),
            async () => {
              if (++flaky < 2) throw new Error('busy');
            },
          );
          await steps.step(
            'stuck',
            () => Promise.resolve(),
            () => Promise.reject(new Error('never')),
          );
          throw new CriError('INTERNAL', 'no');
        },
        { onFailed: (_error, failedUndo) => void (told = failedUndo) },
      ),
    ),
  );
  assert.deepEqual({ flaky, told }, { flaky: 2, told: ['stuck'] });
});

test('an attempt to undo a step has the limit of the step', async () => {
  let attempts = 0;
  const startedMs = performance.now();
  await assert.rejects(
    operations().run(
      request(async (steps) => {
        const undo = (): Promise<void> => (++attempts === 1 ? new Promise<void>(() => undefined) : Promise.resolve());
        await steps.step('hangs once', () => Promise.resolve(), undo, { undoTimeoutMs: 10 });
        throw new CriError('INTERNAL', 'no');
      }),
    ),
    refused('INTERNAL', /^no$/),
  );
  assert.equal(attempts, 2);
  assert.ok(performance.now() - startedMs < 30_000);
});

test('another kind on the same key waits; another key does not', async () => {
  const ops = operations();
  const release = deferred();
  const order: string[] = [];
  const first = ops.run(
    request(async (steps) => steps.step('hang', () => release.promise).then(() => void order.push('stop'))),
  );
  const second = ops.run(request(async () => void order.push('remove'), { kind: 'remove pod sandbox' }));
  await ops.run(request(async () => void order.push('other'), { key: 'pod-name:other' }));
  release.resolve();
  await Promise.all([first, second]);
  assert.deepEqual(order, ['other', 'stop', 'remove']);
});

test('a waiting operation waits for all before it, also if the one just before gives up', async () => {
  const ops = operations();
  const release = deferred();
  const order: string[] = [];
  const first = ops.run(
    request(async (steps) => steps.step('hang', () => release.promise).then(() => void order.push('stop'))),
  );
  const second = ops.run(request(async () => void order.push('update'), { kind: 'update', limitMs: 20 }));
  const third = ops.run(request(async () => void order.push('remove'), { kind: 'remove pod sandbox' }));
  await assert.rejects(second, refused('DEADLINE_EXCEEDED', /^wait for run pod sandbox: /));
  await new Promise((resolve) => setTimeout(resolve, 20));
  assert.deepEqual([order, ops.isBusy('pod-name:web')], [[], true]);
  release.resolve();
  await Promise.all([first, third]);
  assert.deepEqual([order, ops.isBusy('pod-name:web')], [['stop', 'remove'], false]);
});

const pause = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms));

test('a step that gives the key away lets others run meanwhile, and gets the key back before those that still wait', async () => {
  const ops = operations();
  const [grace, hold] = [deferred(), deferred()];
  const order: string[] = [];
  const stop = ops.run(
    request(
      async (steps) => {
        await steps.step('send SIGTERM', async () => void order.push('SIGTERM'));
        await steps.step('wait for exit', () => grace.promise, undefined, { givesKeyAway: true });
        order.push('SIGKILL');
        await steps.step('wait', () => pause(10));
        order.push('stopped');
      },
      { kind: 'stop' },
    ),
  );
  await ops.run(request(async () => void order.push('update 1'), { kind: 'update' }));
  const second = ops.run(
    request(async (steps) => steps.step('update task', () => hold.promise).then(() => void order.push('update 2')), {
      kind: 'update',
    }),
  );
  const third = ops.run(request(async () => void order.push('update 3'), { kind: 'update 3' }));
  grace.resolve();
  await pause(10);
  assert.deepEqual(order, ['SIGTERM', 'update 1']);
  hold.resolve();
  await Promise.all([stop, second, third]);
  assert.deepEqual(order, ['SIGTERM', 'update 1', 'update 2', 'SIGKILL', 'stopped', 'update 3']);
  assert.equal(ops.isBusy('pod-name:web'), false);
});

test('a repeat joins an operation that has given the key away, whatever runs meanwhile', async () => {
  const ops = operations();
  const [grace, hold] = [deferred(), deferred()];
  let stops = 0;
  const stop = (): Promise<number> =>
    ops.run(
      request(
        async (steps) => {
          await steps.step('wait for exit', () => grace.promise, undefined, { givesKeyAway: true });
          return ++stops;
        },
        { kind: 'stop' },
      ),
    );
  const first = stop();
  await pause(5);
  const update = ops.run(
    request((steps) => steps.step('update task', () => hold.promise), { kind: 'update', fingerprint: undefined }),
  );
  const again = stop();
  grace.resolve();
  hold.resolve();
  await update;
  assert.deepEqual(await Promise.all([first, again]), [1, 1]);
});

test('after a failure while the key is given away, the operation takes the key back before it undoes anything', async () => {
  const ops = operations();
  const [failure, hold] = [deferred(), deferred()];
  const order: string[] = [];
  const first = ops.run(
    request(async (steps) => {
      await steps.step(
        'one',
        () => Promise.resolve(),
        async () => void order.push('undone'),
      );
      await steps.step('wait', () => failure.promise.then(() => Promise.reject(new Error('no'))), undefined, {
        givesKeyAway: true,
      });
    }),
  );
  await pause(5);
  const second = ops.run(
    request((steps) => steps.step('hang', () => hold.promise).then(() => void order.push('second')), { kind: 'b' }),
  );
  failure.resolve();
  await pause(5);
  hold.resolve();
  await Promise.all([assert.rejects(first, refused('UNKNOWN', /^wait: no$/)), second]);
  assert.deepEqual(order, ['second', 'undone']);
});

test('an operation cuts short those that must not delay it, and waits until they are undone', async () => {
  const ops = operations();
  const order: string[] = [];
  const dump = (steps: Parameters<OperationRequest<void>['work']>[0]): Promise<void> =>
    steps.step(
      'dump',
      (signal) => new Promise((_, reject) => signal.addEventListener('abort', () => reject(signal.reason))),
      async () => void order.push('undone'),
    );
  const checkpoint = ops.run(request(dump, { kind: 'checkpoint', fingerprint: undefined }));
  await pause(5);
  const stop = ops.run(request(async () => void order.push('stop'), { kind: 'stop', cutsShort: ['checkpoint'] }));
  await Promise.all([assert.rejects(checkpoint, refused('ABORTED', /^dump: cut short by stop$/)), stop]);
  assert.deepEqual(order, ['undone', 'stop']);
});

test('a wait for the key names the operation that holds it, its object and its step', async () => {
  const ops = operations();
  const release = deferred();
  const first = ops.run(
    request((steps) => steps.step('create task', () => release.promise, undefined, { waitingOn: () => 'shim 42' })),
  );
  const second = ops.run(
    request(async () => undefined, { kind: 'stop', caller: { deadlineMs: performance.now() + 30 } }),
  );
  await assert.rejects(
    second,
    refused(
      'DEADLINE_EXCEEDED',
      /wait for run pod sandbox: waiting 0 s for run pod sandbox default\/web \(create task: waiting 0 s for shim 42\)/,
    ),
  );
  release.resolve();
  await first;
});

test('a step that waits for another operation names it, its step and the cause', async () => {
  const ops = operations();
  const release = deferred();
  const inner = request<void>(
    (steps) => steps.step('send SIGTERM', () => release.promise, undefined, { waitingOn: () => 'shim 42' }),
    { kind: 'stop container', subject: 'abc', key: 'container:abc' },
  );
  const outer = ops.run(request((steps) => steps.step('kill containers', () => ops.run(inner))));
  await pause(5);
  const described = (): (string | undefined)[] =>
    ops
      .list()
      .flatMap(({ kind, steps }) => (kind === 'run pod sandbox' ? steps : []))
      .map((step) => step.waitingOn);
  assert.deepEqual(described(), ['stop container abc (send SIGTERM: waiting 0 s for shim 42)']);
  release.resolve();
  await outer;
});

test('the description of two operations that wait for each other ends', async () => {
  const ops = operations();
  const late = (): { deadlineMs: number } => ({ deadlineMs: performance.now() + 50 });
  const other = (work: OperationRequest<void>['work']): OperationRequest<void> =>
    request(work, { kind: 'stop container', subject: 'abc', key: 'container:abc' });
  const pod = (work: OperationRequest<void>['work']): OperationRequest<void> =>
    request(work, { kind: 'remove pod', key: 'pod:web', caller: late() });
  const first = ops.run(
    pod((steps) =>
      steps.step('kill', () =>
        ops.run(other((inner) => inner.step('ask pod', () => ops.run(pod(() => Promise.resolve()))))),
      ),
    ),
  );
  await assert.rejects(first, refused('DEADLINE_EXCEEDED', /waiting 0 s for stop container abc \(ask pod: /));
});

test('an abort while the hook of a step runs ends the step at once', async () => {
  const ops = operations({ before: (_kind, step) => (step === 'slow hook' ? pause(30) : undefined) });
  let ran = false;
  const begun = performance.now();
  await assert.rejects(
    ops.run(
      request((steps) => steps.step('slow hook', async () => ((ran = true), pause(5_000))), {
        limitMs: 10,
      }),
    ),
    refused('DEADLINE_EXCEEDED', /not done within 0\.01 s/),
  );
  assert.ok(!ran && performance.now() - begun < 1_000);
});

test('limits of more than 24.8 days do not end anything at once', async () => {
  const ops = operations();
  const yearMs = 365 * 24 * 3600_000;
  const work: OperationRequest<string>['work'] = (steps) =>
    steps.step('wait', () => pause(20).then(() => 'done'), undefined, { timeoutMs: yearMs });
  const caller = { deadlineMs: performance.now() + yearMs };
  assert.equal(await ops.run(request(work, { limitMs: yearMs, caller })), 'done');
});

test('equal key and kind with another fingerprint does not join', async () => {
  const ops = operations();
  const calls = [
    ops.run(request(() => Promise.resolve(1))),
    ops.run(request(() => Promise.resolve(2), { fingerprint: 'b' })),
  ];
  assert.deepEqual(await Promise.all(calls), [1, 2]);
});

test('a step that does not end within its time fails by its name, and is undone', async () => {
  const ops = operations();
  let undone = false;
  await assert.rejects(
    ops.run(
      request(async (steps) => {
        await steps.step(
          'hang',
          (signal) => new Promise((_, reject) => signal.addEventListener('abort', () => reject(signal.reason))),
          async () => void (undone = true),
          {
            timeoutMs: 20,
            waitingOn: () => 'shim 42',
          },
        );
      }),
    ),
    refused('DEADLINE_EXCEEDED', /^hang: no answer within 0\.02 s from shim 42$/),
  );
  assert.ok(undone);
});

test('the hook sees each step begin and end, and may make it fail', async () => {
  const seen: string[] = [];
  const ops = operations({
    before: (kind, step) => {
      seen.push(`before ${kind}/${step}`);
      if (step === 'two') throw new CriError('INTERNAL', 'injected');
    },
    after: (kind, step, { error }) => void seen.push(`after ${kind}/${step} ${error?.code ?? 'OK'}`),
  });
  await assert.rejects(
    ops.run(
      request(async (steps) => {
        await steps.step('one', () => Promise.resolve());
        await steps.step('two', () => Promise.resolve());
      }),
    ),
    refused('INTERNAL', /^two: injected$/),
  );
  assert.deepEqual(seen, [
    'before run pod sandbox/one',
    'after run pod sandbox/one OK',
    'before run pod sandbox/two',
    'after run pod sandbox/two INTERNAL',
  ]);
});

test('drain returns how many operations still run', async () => {
  const ops = operations();
  const release = deferred();
  const running = ops.run(request(async (steps) => steps.step('hang', () => release.promise)));
  assert.equal(await ops.drain(10), 1);
  release.resolve();
  await running;
  assert.equal(await ops.drain(1000), 0);
});
