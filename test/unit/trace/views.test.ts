import assert from 'node:assert/strict';
import { test } from 'node:test';
import { TracedCall, TracedSpan } from '../../../generated/crid/v1/traces.js';
import { asEvents } from '../../../src/trace/as-events.js';
import { asPage } from '../../../src/trace/as-page.js';
import { asText } from '../../../src/trace/as-text.js';

const ID = '3f2a01c98b7d6e5f40312a3b4c5d6e7f8091a2b3c4d5e6f708192a3b4c5d6e7f';

const span = (name: string, parent: number, startMs: number, ms: number, more: Partial<TracedSpan> = {}): TracedSpan =>
  TracedSpan.fromPartial({ name, parent, start_us: BigInt(startMs * 1000), duration_us: BigInt(ms * 1000), ...more });

/** A call of 100 ms with two steps side by side, of which one has failed and the other still runs. */
const CALL = TracedCall.fromPartial({
  method: 'RunPodSandbox',
  started_at: 1_795_000_000_123_000_000n,
  duration_us: 100_000n,
  attributes: { 'sandbox.name': 'default/web', 'sandbox.id': ID },
  code: 'UNAVAILABLE',
  message: 'add network: <b>no address</b>',
  spans: [
    span('run pod sandbox: create lease', 0, 0, 20),
    span('containerd leases.create', 1, 1, 18, { attributes: { subject: ID } }),
    span('run pod sandbox: record', 0, 20, 100, { is_running: true }),
    span('run pod sandbox: add network', 0, 20, 75, { code: 'UNAVAILABLE', message: 'no address' }),
    span('containerd sandboxes.create', 3, 25, 40),
  ],
  left_out: 3,
});

test('a call as text: a tree, and bars that show what ran side by side', () => {
  const lines = asText(CALL, 90).split('\n');
  assert.deepEqual(lines.slice(0, 2), [
    '2026-11-18 11:06:40.123  RunPodSandbox default/web  100.0 ms',
    'UNAVAILABLE: add network: <b>no address</b>',
  ]);
  assert.ok(
    lines.every((line) => line.length <= 90),
    'no line is wider than the terminal',
  );
  const bar = (label: string): readonly [from: number, length: number] => {
    const line = lines.find((each) => each.includes(`─ ${label}`)) ?? '';
    const text = line.slice(line.lastIndexOf(' ms') + 5);
    return [text.length - text.trimStart().length, text.trimStart().length];
  };
  const [record, network, create] = [bar('record'), bar('add network'), bar('create lease')];
  assert.equal(record[0], network[0], 'both begin at the same time');
  assert.equal(record[0], create[1], 'after the first step');
  assert.ok(record[1] > network[1]);
  assert.match(lines.find((line) => line.includes('record')) ?? '', />100\.0 ms .*▒$/);
  assert.ok(lines.includes('   UNAVAILABLE: no address'));
  assert.ok(lines.includes('3 more spans are not kept'));
  assert.ok(lines.some((line) => line.startsWith('│  └─ containerd leases.create 3f2a01c98b7d6 ')));
});

test('control characters in names and errors do not reach the terminal', () => {
  const escape = '\u001b]0;owned\u0007';
  const named = { ...CALL, attributes: { 'sandbox.name': escape }, message: escape };
  assert.ok(asText(named, 90).includes('�]0;owned�'));
  assert.doesNotMatch(asText(named, 90).replaceAll('\n', ''), /\p{Cc}/u);
});

test('a call as text for a narrow terminal and for no spans', () => {
  assert.ok(
    asText(CALL, 40)
      .split('\n')
      .filter((line) => line.includes(' ms  '))
      .every((line) => line.length <= 16 + 2 * 11 + 2 + 10),
  );
  const empty = { ...CALL, spans: [], code: '', message: '', left_out: 0, is_running: true };
  assert.equal(asText(empty, 80), '2026-11-18 11:06:40.123  RunPodSandbox default/web  >100.0 ms\n');
});

test('the trace events of each thread are nested, and all times are kept', () => {
  const { traceEvents } = JSON.parse(asEvents([CALL, CALL])) as { traceEvents: Record<string, unknown>[] };
  const complete = traceEvents.filter(({ ph }) => ph === 'X') as {
    pid: number;
    tid: number;
    ts: number;
    dur: number;
  }[];
  assert.equal(complete.length, 12);
  assert.deepEqual(new Set(complete.map(({ pid }) => pid)), new Set([1, 2]));
  for (const a of complete) {
    for (const b of complete) {
      if (a === b || a.pid !== b.pid || a.tid !== b.tid) continue;
      const apart = a.ts >= b.ts + b.dur || b.ts >= a.ts + a.dur;
      const within = (x: typeof a, y: typeof a): boolean => x.ts >= y.ts && x.ts + x.dur <= y.ts + y.dur;
      assert.ok(apart || within(a, b) || within(b, a), `${JSON.stringify(a)} overlaps ${JSON.stringify(b)}`);
    }
  }
  const network = traceEvents.find(({ name }) => name === 'add network');
  assert.deepEqual(
    { ts: network?.['ts'], dur: network?.['dur'], cat: network?.['cat'], args: network?.['args'] },
    { ts: 1_795_000_000_123_000 + 20_000, dur: 75_000, cat: 'step', args: { error: 'UNAVAILABLE: no address' } },
  );
});

test('the page has every span, runs no script and loads nothing, and texts cannot become markup', () => {
  const hostile = `<script>alert(1)</script>"'&`;
  const page = asPage([{ ...CALL, attributes: { 'sandbox.name': hostile } }], hostile);
  assert.doesNotMatch(page, /<script|<b>no address|src=|href=/);
  assert.ok(page.includes('&lt;script&gt;alert(1)&lt;/script&gt;&quot;&#39;&amp;'));
  assert.equal(page.match(/<div class="row" /g)?.length, 6);
  assert.match(page, /class="step failed" style="left:16\.667%;width:62\.500%"/);
  assert.match(page, /class="step running"/);
});
