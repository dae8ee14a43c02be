import assert from 'node:assert/strict';
import { after, before } from 'node:test';
import { ClientError, Status } from 'nice-grpc';
import { startCrid, type Crid, type CridOptions } from '../../harness/crid.js';
import { assertLeavesNothing, leaks, type Inventory } from '../../harness/leaks.js';
import { pullImage, removeAllPods } from '../../harness/pod.js';
import { testStack, type TestStack } from '../../harness/test-stack.js';

/** What the tests of one file work on; it is there once the first of them runs. */
export interface Suite {
  readonly stack: TestStack;
  readonly crid: Crid;
  /** Fails when there is anything on the host or in containerd that was not there before the file's first test. */
  assertNothingLeft(): Promise<void>;
}

/**
 * Starts crid before the first test of a file. After the last one it removes every pod, and fails when anything is
 * left behind.
 */
export function startSuite(options: (stack: TestStack) => Promise<CridOptions> | CridOptions = () => ({})): Suite {
  let made: { stack: TestStack; crid: Crid; baseline: Inventory } | undefined;
  const parts = (): NonNullable<typeof made> => {
    assert.ok(made, 'crid has been started');
    return made;
  };
  const assertNothingLeft = (): Promise<void> => assertLeavesNothing(parts().stack, parts().baseline);

  before(async () => {
    const stack = await testStack();
    const crid = await startCrid(stack, await options(stack));
    made = { stack, crid, baseline: await leaks(stack) };
    await pullImage(crid);
  });
  after(async () => {
    const { crid } = parts();
    try {
      await removeAllPods(crid);
      await assertNothingLeft();
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
    assertNothingLeft,
  };
}

/** The error that a call ends with, as a client sees it. */
export async function failureOf(call: Promise<unknown>): Promise<{ code: string; message: string }> {
  const error: unknown = await call.then(
    (answer) => assert.fail(`answered ${JSON.stringify(answer, plain)}`),
    (thrown: unknown) => thrown,
  );
  assert.ok(error instanceof ClientError, String(error));
  return { code: Status[error.code], message: error.details };
}

/** Fails unless the call is refused with this code, and a message that holds each of the texts. */
export async function assertFails(
  call: Promise<unknown>,
  code: keyof typeof Status,
  ...texts: readonly string[]
): Promise<void> {
  const failure = await failureOf(call);
  const missing = texts.filter((text) => !failure.message.includes(text));
  assert.deepEqual({ code: failure.code, missing }, { code, missing: [] }, `${failure.code}: ${failure.message}`);
}

/** One bad request: its name, the call, the code and what the message must name. */
export type BadRequest = readonly [
  name: string,
  call: () => Promise<unknown>,
  code: keyof typeof Status,
  ...texts: readonly string[],
];

const plain = (_key: string, value: unknown): unknown => (typeof value === 'bigint' ? String(value) : value);
