/**
 * A server that copies one container's streams until it is killed. Arguments: log, stdout, stderr, "open" or "drain".
 */
import { createStdio } from '../../../src/stdio/create-stdio.js';
import { quiet, requestIn } from './helpers.js';

const [, , logPath = '', stdout = '', stderr = '', mode] = process.argv;
// CRID_TEST_KILL_AT=n: the copying thread kills the whole process before its n-th call to the file system.
const workerUrl = process.env['CRID_TEST_KILL_AT'] ? new URL('./killing-worker.js', import.meta.url) : undefined;
const stdio = createStdio({ log: quiet, ...(workerUrl ? { workerUrl } : {}) });
const io = await stdio.reattach(requestIn('/unused', { logPath }), { stdin: '', stdout, stderr });
process.stdout.write('ready\n');
if (mode === 'drain') {
  const drained = await io.drained(30_000);
  await stdio.close();
  process.exitCode = drained ? 0 : 1;
}
