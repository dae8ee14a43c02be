import assert from 'node:assert/strict';
import { after, afterEach, before } from 'node:test';
import { ClientError, Status } from 'nice-grpc';
import { startCrid, type Crid, type CridOptions } from '../../harness/crid.js';
import { assertLeavesNothing, leaks, type Inventory } from '../../harness/leaks.js';
import { pullImage, removeAllPods, runPod, type RunningPod } from '../../harness/pod.js';
import { testStack, type TestStack } from '../../harness/test-stack.js';

/** The processes that the tests of one file use. It is available once the first test runs. */
export interface Suite {
  readonly stack: TestStack;
  readonly crid: Crid;
  /** A pod shared by the whole file, with `withPod`. */
  readonly pod: RunningPod;
  /** Fails if the host or containerd has anything that was not there before the file's first test. */
  assertNothingLeft(): Promise<void>;
}

export interface SuiteOptions {
  readonly crid?: (stack: TestStack) => Promise<CridOptions> | CridOptions;
  readonly withPod?: boolean;
  /** Removes every pod after each test too, and fails it if anything is left behind. */
  readonly isEmptiedAfterEach?: boolean;
}

/**
 * Starts crid before the first test of a file or of a `describe`. After the last one it removes every pod, and fails if
 * anything is left behind.
 */
export function startSuite({
  crid: options = () => ({}),
  withPod = false,
  isEmptiedAfterEach = false,
}: SuiteOptions = {}): Suite {
  let made: { stack: TestStack; crid: Crid; baseline: Inventory; pod: RunningPod | undefined } | undefined;
  const parts = (): NonNullable<typeof made> => {
    assert.ok(made, 'crid has been started');
    return made;
  };
  const assertNothingLeft = (): Promise<void> => assertLeavesNothing(parts().stack, parts().baseline);

  before(async () => {
    const stack = await testStack();
    const crid = await startCrid(stack, await options(stack));
    const baseline = await leaks(stack);
    made = { stack, crid, baseline, pod: undefined };
    await pullImage(crid);
    if (withPod) made.pod = await runPod(crid, stack);
  });
  const empty = async (): Promise<void> => {
    await removeAllPods(parts().crid);
    await assertNothingLeft();
  };
  if (isEmptiedAfterEach) afterEach(empty);
  after(async () => {
    const { crid } = parts();
    try {
      await empty();
    } finally {
      await crid.stop();
      crid.close();
    }
  });
  return {
    get stack() {
      return parts().stack;
    },
    get crid() {
      return parts().crid;
    },
    get pod() {
      const { pod } = parts();
      assert.ok(pod, 'the suite has a pod');
      return pod;
    },
    assertNothingLeft,
  };
}

/** Returns the error of a call as a client sees it. */
export async function failureOf(call: Promise<unknown>): Promise<{ code: string; message: string }> {
  const error: unknown = await call.then(
    (answer) => assert.fail(`answered ${JSON.stringify(answer, plain)}`),
    (thrown: unknown) => thrown,
  );
  assert.ok(error instanceof ClientError, String(error));
  return { code: Status[error.code], message: error.details };
}

/** Asserts that the call fails with this code, and that the message contains each of the texts. */
export async function assertFails(
  call: Promise<unknown>,
  code: keyof typeof Status,
  ...texts: readonly string[]
): Promise<void> {
  const failure = await failureOf(call);
  const missing = texts.filter((text) => !failure.message.includes(text));
  assert.deepEqual({ code: failure.code, missing }, { code, missing: [] }, `${failure.code}: ${failure.message}`);
}

/** A bad request: its name, the call, the code and the texts that the message must contain. */
export type BadRequest = readonly [
  name: string,
  call: () => Promise<unknown>,
  code: keyof typeof Status,
  ...texts: readonly string[],
];

const plain = (_key: string, value: unknown): unknown => (typeof value === 'bigint' ? String(value) : value);
