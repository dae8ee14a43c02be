import assert from 'node:assert/strict';
import { readFile } from 'node:fs/promises';
import { until } from '../../../tools/stack/wait.js';

const LIMIT_MS = 20_000;
const LINE = /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d+(Z|[+-]\d\d:\d\d) stdout ([FP]) (\d*)$/;

/** Writes the lines 0, 1, 2, … as fast as a shell can, with a pause after each hundred. */
export const NUMBERED_WRITER = [
  ...['sh', '-c'],
  'i=0; while :; do echo $i; i=$((i+1)); [ $((i % 100)) -ne 0 ] || sleep 0.02; done',
];

/**
 * Fails unless a CRI log contains the lines 0, 1, 2, … each exactly once. At most `splits` of them may be in two
 * pieces: a crid that stops in good order writes the beginning of a line as a piece, and the next server writes the
 * rest. Returns the number of lines.
 */
export async function assertGapless(path: string, { splits = 0 } = {}): Promise<number> {
  const lines = (await readFile(path, 'utf8')).split('\n');
  // The last line may just be being written.
  lines.pop();
  let [count, begun, left] = [0, '', splits];
  lines.forEach((line, index) => {
    const [, , tag, digits] = LINE.exec(line) ?? [];
    if (tag === 'P' && digits !== undefined && left > 0) {
      left--;
      begun += digits;
      return;
    }
    if (tag !== 'F' || `${begun}${digits}` !== String(count)) {
      assert.fail(`line ${index} of ${path}:\n${lines.slice(Math.max(0, index - 2), index + 3).join('\n')}`);
    }
    begun = '';
    count++;
  });
  return count;
}

/** Waits until the log has more than `than` lines. */
export const grows = (path: string, than: number): Promise<number> =>
  until(`${path} has more than ${than} lines`, LIMIT_MS, async () => {
    const count = (await readFile(path, 'utf8')).split('\n').length - 1;
    return count > than ? count : undefined;
  });
