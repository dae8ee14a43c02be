import { assertLeavesNothing, leaks, type Inventory } from '../harness/leaks.js';
import { limitMs } from '../harness/slowness.js';
import { startStack, type Stack } from '../harness/test-stack.js';
import { spokenSteps } from '../../tools/stack/steps.js';
import { keepLogs } from './logs.js';
import { noTests, type Outcome, runFiles } from './run-files.js';

const FILE_LIMIT_MS = limitMs(900_000);

/** Runs test files one after another on one stack. Each file must leave the stack as it found it. */
export interface OnStack {
  run(file: string): Promise<Outcome>;
}

export function createOnStack(write: (text: string) => void, signal: AbortSignal): OnStack {
  let stack: Stack | undefined;

  const leavesNothing = async (used: Stack, before: Inventory, outcome: Outcome, file: string): Promise<boolean> => {
    try {
      await assertLeavesNothing(used, before);
      return true;
    } catch (error) {
      const failure = `✖ after ${shortName(file)}: ${(error as Error).message}`;
      write(`${failure}\n`);
      outcome.failed++;
      outcome.failures.push(failure);
      return false;
    }
  };

  return {
    async run(file) {
      signal.throwIfAborted();
      stack ??= await newStack(write);
      write(`\n${shortName(file)}\n`);
      const before = await leaks(stack);
      const outcome = noTests();
      await runFiles({ files: [file], concurrency: 1, timeoutMs: FILE_LIMIT_MS, signal, write, outcome });
      const isClean = await leavesNothing(stack, before, outcome, file);
      if (outcome.failed > 0) write(`  logs: ${await keepLogs(stack, file)}\n`);
      if (isClean) return outcome;
      // The next file gets a new stack without these leftovers.
      await stack.dispose();
      stack = undefined;
      return outcome;
    },
  };
}

export const shortName = (file: string): string => file.replace(/^.*\/test\//, 'test/');

async function newStack(write: (text: string) => void): Promise<Stack> {
  const stack = await startStack({ step: spokenSteps(write) });
  exportStack(stack);
  return stack;
}

/** The environment of the test files, described in docs/testing.md. */
function exportStack(stack: Stack): void {
  Object.assign(process.env, {
    CRID_TEST_CONTAINERD: stack.containerd.socket,
    CRID_TEST_CONTAINERD_CONFIG: stack.containerd.config,
    CRID_TEST_CONTAINERD_BINARY: `${stack.layout.containerdBin}/containerd`,
    CRID_TEST_CNI_BIN: stack.cniBinDir,
    CRID_TEST_REGISTRY: stack.registry.host,
    CRID_TEST_STACK: JSON.stringify(stack),
  });
}
