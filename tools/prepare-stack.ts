import { stackLayout } from './stack/layout.js';
import { prepareStack } from './stack/prepare.js';
import { spokenSteps } from './stack/steps.js';

/** Prepares what a stack needs, so that tests need not wait for it: `node build/tools/prepare-stack.js`. */
await prepareStack(
  stackLayout(),
  spokenSteps((text) => void process.stdout.write(text)),
);
