/** The copying thread. It fails at each `hurry` message, which is sent when a container ends. */
import { syncBuiltinESMExports } from 'node:module';
import threads from 'node:worker_threads';

const { receiveMessageOnPort } = threads;

threads.receiveMessageOnPort = (port) => {
  const next = receiveMessageOnPort(port) as { message: { kind: string } } | undefined;
  if (next?.message.kind === 'hurry') throw new Error('the copying thread was made to fail');
  return next;
};
syncBuiltinESMExports();
await import('../../../src/stdio/copy-worker.js');
