import { endianness } from 'node:os';
import { unsupportedMachine } from './base/machine.js';

/**
 * Ends the process on a machine that crid does not run on. Imported before everything else: on such a machine the
 * import of the native module throws first, and names only a missing file.
 */
const problem = unsupportedMachine(process.platform, process.arch, endianness());
if (problem !== undefined) {
  process.stderr.write(`crid: ${problem}\n`);
  process.exit(1);
}
