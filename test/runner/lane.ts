/**
 * A process that runs test files one after another on its own stack. Its parent sends the path of a file, and receives
 * the outcome and the output of that file. The process stops the stack when the parent disconnects.
 */
import { disposeAll, onDispose } from '../../tools/stack/disposers.js';
import type { LaneReport } from './lanes.js';
import { createOnStack } from './on-stack.js';
import { failure } from './run-files.js';

const interrupted = new AbortController();
let output = '';
let running: Promise<void> = Promise.resolve();
onDispose('tests', async () => {
  interrupted.abort();
  await running;
});
const onStack = createOnStack((text) => (output += text), interrupted.signal);

process.on('message', (file: string) => {
  running = onStack
    .run(file)
    .catch(failure)
    .then((outcome) => {
      const report: LaneReport = { file, outcome, output };
      output = '';
      // If the parent is gone, the report is lost, and `disconnect` follows.
      process.send?.(report, undefined, undefined, () => undefined);
    });
});

process.once('disconnect', () => void disposeAll().then(() => process.exit()));
