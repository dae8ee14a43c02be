/** The copying thread, but it fails after a while: it asks for its messages once a turn. */
import { syncBuiltinESMExports } from 'node:module';
import threads from 'node:worker_threads';

const { receiveMessageOnPort } = threads;
const endMs = Date.now() + 200;

threads.receiveMessageOnPort = (port) => {
  if (Date.now() > endMs) throw new Error('the copying thread was made to fail');
  return receiveMessageOnPort(port);
};
syncBuiltinESMExports();
await import('../../../src/stdio/copy-worker.js');
