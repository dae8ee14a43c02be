import type { SELinuxOption } from '../../../generated/runtime/v1/api.js';
import { invalidArgument } from '../../base/errors.js';
import { checkNoControl } from '../validate/text-checks.js';

/** INVALID_ARGUMENT for a colon or a control character in user, role or type, and for a malformed level. */
export function checkSelinuxOptions(options: SELinuxOption | undefined, field: string): void {
  if (options === undefined) return;
  for (const part of ['user', 'role', 'type'] as const) {
    checkNoControl(options[part], `${field}.${part}`);
    if (options[part].includes(':')) throw invalidArgument(`${field}.${part}`, 'contains ":"');
  }
  if (!LEVEL.test(options.level))
    throw invalidArgument(`${field}.level`, `"${options.level}" is not a level such as s0:c1,c2`);
}

const LEVEL = /^(s\d(-s\d)?(:c\d{1,4}(\.c\d{1,4})?(,c\d{1,4}(\.c\d{1,4})?)*)?)?$/;
