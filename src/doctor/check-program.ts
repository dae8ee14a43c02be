import { ok, warning, type Finding } from './finding.js';

/** When each release of Node.js gets its last fixes (https://github.com/nodejs/release#release-schedule). */
const LAST_FIXES: Readonly<Record<string, string>> = {
  20: '2026-04-30',
  21: '2024-06-01',
  22: '2027-04-30',
  23: '2025-06-01',
  24: '2028-04-30',
  25: '2026-06-01',
  26: '2029-04-30',
};

/** Checks the Node.js that runs crid. A release that is newer than the table counts as one that gets fixes. */
export function checkProgram(nodeVersion: string, now: Date): Finding[] {
  const ends = LAST_FIXES[nodeVersion.split('.')[0] ?? ''];
  if (ends === undefined || now.getTime() <= Date.parse(`${ends}T23:59:59Z`)) return [ok('Node.js', nodeVersion)];
  return [warning('Node.js', `${nodeVersion} has received no fixes since ${ends}: install 24 (LTS) or 22`)];
}
