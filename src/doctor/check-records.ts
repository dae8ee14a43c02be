import type { Claim } from '../state/claims.js';
import { ok, warning, type Finding } from './finding.js';

/** The number of records that are listed. */
const MAX_NAMED = 10;

/**
 * Lists the records that crid cannot read. `info`: that of a verbose Status; a server other than crid has no records
 * there.
 */
export function checkRecords(info: Readonly<Record<string, string>>): Finding[] {
  const json = info['unreadableRecords'];
  if (json === undefined) return [];
  const { records } = JSON.parse(json) as { readonly records: readonly Claim[] };
  if (records.length === 0) return [ok('records', 'all can be read')];
  const rest = records.length - MAX_NAMED;
  return [
    ...records.slice(0, MAX_NAMED).map((record) => warning('records', describe(record))),
    ...(rest > 0 ? [warning('records', `${rest} more cannot be read: see crictl info`)] : []),
  ];
}

function describe({ id, name, error }: Claim): string {
  const known = id === '' ? 'a list of records' : `"${id}"${name === '' ? '' : ` (${name})`}`;
  return `${known} cannot be read and is left alone: ${error}; remove it with ctr when nothing needs it`;
}
