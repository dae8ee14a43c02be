import type { ContainerdPaths } from '../../tools/stack/containerd-config.js';
import { startStack, type Stack } from '../../tools/stack/stack.js';

export { startStack, type Stack } from '../../tools/stack/stack.js';

/** What tests need to know of a stack; its containerd is somebody else's to stop. */
export interface TestStack extends Omit<Stack, 'containerd' | 'dispose'> {
  readonly containerd: ContainerdPaths;
}

let own: Promise<Stack> | undefined;

/**
 * The stack that the test runner has started for all files (CRID_TEST_STACK), else one of this process's own, which goes
 * when the process ends. A test that stops containerd starts another: `startStack()`.
 */
export function testStack(): Promise<TestStack> {
  const shared = process.env['CRID_TEST_STACK'];
  if (shared) return Promise.resolve(JSON.parse(shared) as TestStack);
  return (own ??= startStack());
}
