/** The copying thread, but it fails after a while: it asks for its messages once a turn. */
import { syncBuiltinESMExports } from 'node:module';
import threads from 'node:worker_threads';

const { receiveMessageOnPort } = threads;
/** Counted from its first turn: how long a thread takes to start is the machine's business. */
let endMs: number | undefined;

threads.receiveMessageOnPort = (port) => {
  endMs ??= Date.now() + 200;
  if (Date.now() > endMs) throw new Error('the copying thread was made to fail');
  return receiveMessageOnPort(port);
};
syncBuiltinESMExports();
await import('../../../src/stdio/copy-worker.js');
