/** A server that is stopped while a container's log does not respond. Arguments: log, stdout, stderr. */
import { createStdio } from '../../../src/stdio/create-stdio.js';
import { quiet, requestIn } from './helpers.js';

const [, , logPath = '', stdout = '', stderr = ''] = process.argv;
const stdio = createStdio({ log: quiet });
await stdio.reattach(requestIn('/unused', { logPath }), { stdin: '', stdout, stderr });
await stdio.close();
process.exit(7);
