import type { ContainerdPaths } from '../../tools/stack/containerd-config.js';
import { startStack, type Stack } from '../../tools/stack/stack.js';

export { startStack, type Stack } from '../../tools/stack/stack.js';

/** The paths of a stack. Tests cannot stop its containerd. */
export interface TestStack extends Omit<Stack, 'containerd' | 'dispose'> {
  readonly containerd: ContainerdPaths;
}

let own: Promise<Stack> | undefined;

/**
 * Returns the stack that the test runner started for all files (CRID_TEST_STACK). Without one, starts a stack of this
 * process, which is removed when the process ends. A test that stops containerd starts its own with `startStack()`.
 */
export function testStack(): Promise<TestStack> {
  const shared = process.env['CRID_TEST_STACK'];
  if (shared) return Promise.resolve(JSON.parse(shared) as TestStack);
  return (own ??= startStack());
}
