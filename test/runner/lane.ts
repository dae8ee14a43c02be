/**
 * A process that runs test files one after another on a stack of its own. Its parent sends the path of a file, and gets the
 * outcome and the output of that file. It stops the stack when the parent disconnects.
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
      // A parent that has gone needs no report; `disconnect` follows.
      process.send?.(report, undefined, undefined, () => undefined);
    });
});

process.once('disconnect', () => void disposeAll().then(() => process.exit()));
