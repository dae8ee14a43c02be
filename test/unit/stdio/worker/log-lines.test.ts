import assert from 'node:assert/strict';
import { test } from 'node:test';
import { readClock } from '../../../../src/host/syscall/clock.js';
import { createLogLines } from '../../../../src/stdio/worker/log-lines.js';
import { createTimestampWriter, TIMESTAMP_MAX_BYTES } from '../../../../src/stdio/worker/timestamp.js';

const SECONDS = Date.UTC(2026, 6, 9, 8, 7, 6) / 1000;

/** Formats chunks. Asserts after each that the reported and the held bytes add up to the bytes fed. */
function format(chunks: readonly string[], maxLineBytes: number): string[] {
  const written: string[] = [];
  let [fed, said] = [0, 0];
  const clock = (instant: { seconds: number; nanos: number }): void => {
    instant.seconds = SECONDS;
    instant.nanos = 0;
  };
  const lines = createLogLines('stdout', maxLineBytes, clock, (formatted, bytes) => {
    written.push(formatted.toString('latin1'));
    said += bytes;
  });
  for (const chunk of chunks) {
    lines.push(Buffer.from(chunk, 'latin1'));
    fed += chunk.length;
    assert.equal(said + lines.heldBytes, fed);
  }
  lines.end();
  assert.equal(said, fed);
  return written
    .join('')
    .split('\n')
    .map((line) => line.replace(/^\S+ stdout /, ''));
}

const cases: readonly { name: string; chunks: string[]; max: number; lines: string[] }[] = [
  { name: 'plain', chunks: ['a\nbc\n'], max: 10, lines: ['F a', 'F bc', ''] },
  { name: 'empty lines', chunks: ['\n\n'], max: 10, lines: ['F ', 'F ', ''] },
  { name: 'no newline at the end', chunks: ['a\nb'], max: 10, lines: ['F a', 'P b', ''] },
  { name: 'nothing', chunks: [''], max: 10, lines: [''] },
  { name: 'exactly as long as allowed', chunks: ['abc\n'], max: 3, lines: ['F abc', ''] },
  { name: 'one byte longer', chunks: ['abcd\n'], max: 3, lines: ['P abc', 'F d', ''] },
  { name: 'many pieces', chunks: ['abcdefgh'], max: 3, lines: ['P abc', 'P def', 'P gh', ''] },
  { name: 'a line in drops', chunks: [...'abcdefg\nh\n'], max: 3, lines: ['P abc', 'P def', 'F g', 'F h', ''] },
  { name: 'carriage returns', chunks: ['a\r\n\r\nb\rc\r\r\n'], max: 10, lines: ['F a', 'F ', 'F b\rc\r', ''] },
  { name: 'a return before a late newline', chunks: ['abc\r', '\nd'], max: 3, lines: ['F abc', 'P d', ''] },
  { name: 'a return that was content', chunks: ['abc\r', 'd\n'], max: 3, lines: ['P abc', 'F \rd', ''] },
  { name: 'a return at the end', chunks: ['ab\r'], max: 10, lines: ['P ab\r', ''] },
  { name: 'binary', chunks: ['\x00\xff\n'], max: 10, lines: ['F \x00\xff', ''] },
  { name: 'no limit', chunks: ['x'.repeat(700_000) + '\n'], max: 0, lines: [`F ${'x'.repeat(700_000)}`, ''] },
];

for (const { name, chunks, max, lines } of cases) {
  test(`log lines: ${name}`, () => {
    assert.deepEqual([format(chunks, max), format([...chunks.join('')], max)], [lines, lines]);
  });
}

test('times have nanoseconds without trailing zeros, in local time', () => {
  const zone = process.env['TZ'];
  const write = (tz: string, nanos: number): string => {
    process.env['TZ'] = tz;
    const target = Buffer.alloc(TIMESTAMP_MAX_BYTES);
    return target.toString('latin1', 0, createTimestampWriter()(target, 0, { seconds: SECONDS, nanos }));
  };
  const times = [
    write('UTC', 0),
    write('UTC', 500_000_000),
    write('UTC', 1),
    write('Asia/Kolkata', 123_456_780),
    write('America/St_Johns', 999_999_999),
  ];
  if (zone === undefined) delete process.env['TZ'];
  else process.env['TZ'] = zone;
  assert.deepEqual(times, [
    '2026-07-09T08:07:06Z',
    '2026-07-09T08:07:06.5Z',
    '2026-07-09T08:07:06.000000001Z',
    '2026-07-09T13:37:06.12345678+05:30',
    '2026-07-09T05:37:06.999999999-02:30',
  ]);
});

test('the clock is the wall clock', () => {
  const instant = { seconds: 0, nanos: 0 };
  const before = Date.now();
  readClock(instant);
  const after = Date.now();
  const nowMs = instant.seconds * 1000 + Math.floor(instant.nanos / 1e6);
  assert.ok(before <= nowMs && nowMs <= after);
});

test('lines of one batch have distinct, rising times, across a second as well', () => {
  const written: string[] = [];
  const lines = createLogLines(
    'stderr',
    10,
    (instant) => Object.assign(instant, { seconds: SECONDS, nanos: 999_999_998 }),
    (formatted) => written.push(formatted.toString()),
  );
  lines.push(Buffer.from('a\nb\nc\n'));
  const seconds = written
    .join('')
    .trimEnd()
    .split('\n')
    .map((line) => /:\d\d:(\S+?)(?:Z|[+-]\d\d:\d\d) stderr F/.exec(line)?.[1]);
  assert.deepEqual(seconds, ['06.999999998', '06.999999999', '07']);
});
