import { endianness } from 'node:os';
import { unsupportedMachine } from './base/machine.js';

/**
 * Ends the process on a machine that crid does not run on, and loads the rest only afterwards: on such a machine the
 * import of the native module throws, and names only a file that is missing.
 */
const problem = unsupportedMachine(process.platform, process.arch, endianness());
if (problem !== undefined) {
  process.stderr.write(`crid: ${problem}\n`);
  process.exit(1);
}
const { runCommandLine } = await import('./command-line.js');
await runCommandLine();
