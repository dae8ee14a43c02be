/** A server that copies one container's streams until it is killed. Arguments: log, stdout, stderr, "open" or "drain". */
import { createStdio } from '../../../src/stdio/create-stdio.js';
import { quiet, requestIn } from './helpers.js';

const [, , logPath = '', stdout = '', stderr = '', mode] = process.argv;
const stdio = createStdio({ log: quiet });
const io = await stdio.reattach(requestIn('/unused', { logPath }), { stdin: '', stdout, stderr });
process.stdout.write('ready\n');
if (mode === 'drain') {
  const drained = await io.drained(30_000);
  await stdio.close();
  process.exitCode = drained ? 0 : 1;
}
