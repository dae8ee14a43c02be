import { CriError } from '../base/errors.js';
import type { Logger } from '../base/log.js';
import type { Stdio } from './stdio.js';

export function createStdio(_options: { log: Logger }): Stdio {
  throw new CriError('UNIMPLEMENTED', 'createStdio');
}
