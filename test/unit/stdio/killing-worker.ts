/**
 * The copying thread. SIGKILL ends the process before its n-th call to the file system, where n is CRID_TEST_KILL_AT.
 */
import fs from 'node:fs';
import { syncBuiltinESMExports } from 'node:module';
import threads from 'node:worker_threads';

const killAt = Number(process.env['CRID_TEST_KILL_AT']);
const { receiveMessageOnPort } = threads;
let calls = 0;
// Counts from the first loop turn on, so that the calls that load the code do not count.
let counting = false;

threads.receiveMessageOnPort = (port) => {
  counting = true;
  return receiveMessageOnPort(port);
};

const counted = <A extends unknown[], R>(call: (...args: A) => R) =>
  function (...args: A): R {
    if (counting) calls += 1;
    if (calls === killAt) {
      process.kill(process.pid, 'SIGKILL');
      // The signal reaches the process, and not necessarily this thread at once.
      for (;;);
    }
    return call(...args);
  };

fs.openSync = counted(fs.openSync);
fs.readSync = counted(fs.readSync as (...args: unknown[]) => number);
fs.writeSync = counted(fs.writeSync as (...args: unknown[]) => number);
fs.ftruncateSync = counted(fs.ftruncateSync);
fs.fstatSync = counted(fs.fstatSync as (...args: unknown[]) => fs.Stats) as typeof fs.fstatSync;
syncBuiltinESMExports();
await import('../../../src/stdio/copy-worker.js');
