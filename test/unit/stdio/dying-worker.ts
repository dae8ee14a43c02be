/** The copying thread. It fails after some time, when it polls for messages, which it does once per loop turn. */
import { syncBuiltinESMExports } from 'node:module';
import threads from 'node:worker_threads';

const { receiveMessageOnPort } = threads;
/** Counts from the first loop turn, because the time to start a thread depends on the machine. */
let endMs: number | undefined;

threads.receiveMessageOnPort = (port) => {
  endMs ??= Date.now() + 200;
  if (Date.now() > endMs) throw new Error('the copying thread was made to fail');
  return receiveMessageOnPort(port);
};
syncBuiltinESMExports();
await import('../../../src/stdio/copy-worker.js');
