import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { text } from 'node:stream/consumers';
import { test } from 'node:test';

const DISPOSERS = new URL('../../../tools/stack/disposers.js', import.meta.url).href;

/**
 * A program that is interrupted by a signal: the clean-up makes its work fail, and then the program cleans up itself as
 * at its normal end.
 */
const PROGRAM = `
  import { disposeAll, onDispose } from ${JSON.stringify(DISPOSERS)};
  let interrupt;
  const work = new Promise((_resolve, reject) => (interrupt = reject));
  const later = (ms) => new Promise((resolve) => setTimeout(resolve, ms));
  onDispose('first', async () => { await later(100); console.log('first is undone'); });
  onDispose('second', async () => { interrupt(new Error('it went')); await later(100); console.log('second is undone'); });
  console.log('works');
  try { setInterval(() => undefined, 1000); await work; } finally { await disposeAll(); }
`;

test('a signal undoes everything, also if the work fails meanwhile and cleans up too', async () => {
  const child = spawn(process.execPath, ['--input-type=module', '--eval', PROGRAM], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  child.stdout.once('data', () => child.kill('SIGINT'));
  const [output, [code]] = await Promise.all([text(child.stdout), once(child, 'exit') as Promise<[number | null]>]);
  assert.deepEqual(
    { lines: output.trim().split('\n'), code },
    { lines: ['works', 'second is undone', 'first is undone'], code: 130 },
  );
});
