import assert from 'node:assert/strict';
import { test } from 'node:test';
import { drawPanels, wholeUsOf, type TraceEvent } from '../../bench/picture/draw.js';

const span = (cat: string, name: string, ts: number, dur: number): TraceEvent => ({
  ph: 'X',
  pid: 1,
  cat,
  name,
  ts,
  dur,
});
const EVENTS: TraceEvent[] = [
  { ph: 'M', pid: 1, name: 'process_name' },
  span('cri', 'RunPodSandbox default/web', 1_000_000, 60_000),
  span('step', 'add <network>', 1_010_000, 50_000),
  span('containerd', 'containerd leases.create 1234', 1_020_000, 30_000),
  // 5 ms of the client's own time lie between the calls.
  span('cri', 'StartContainer app', 1_065_000, 40_000),
];

/** Returns kind, left and width of each bar, both as parts of the time scale in percent. */
function barsOf(svg: string): [kind: string, left: number, width: number][] {
  const bars = [...svg.matchAll(/<rect class="(\w+)" x="([\d.]+)" y="\d+" rx="1" height="11" width="([\d.]+)"/g)];
  const scale = Number(bars.find(([, kind]) => kind === 'cri')?.[3]) / 0.6;
  const left = Number(bars[0]?.[2]);
  return bars.map(([, kind = '', x, width]) => [
    kind,
    Math.round(((Number(x) - left) / scale) * 100),
    Math.round((Number(width) / scale) * 100),
  ]);
}

test('the calls of a pod lie one after the other, with a step and what it asked containerd for in one row', () => {
  const svg = drawPanels([{ title: 'a start', events: EVENTS }]);
  assert.equal(wholeUsOf(EVENTS), 100_000);
  assert.deepEqual(barsOf(svg), [
    ['cri', 0, 60],
    ['step', 10, 50],
    ['containerd', 20, 30],
    ['cri', 60, 40],
  ]);
  const texts = [...svg.matchAll(/<text[^>]*>([^<]*)</g)].map(([, text]) => text);
  for (const text of ['a start: 100.0 ms', 'RunPodSandbox', 'add &lt;network&gt;', '50.0 ms', 'StartContainer'])
    assert.ok(texts.includes(text), text);
  assert.ok(!svg.includes('leases.create'));
});

test('panels share one time scale', () => {
  const short = [span('cri', 'StartContainer app', 0, 20_000)];
  const bars = barsOf(
    drawPanels([
      { title: 'long', events: EVENTS },
      { title: 'short', events: short },
    ]),
  );
  assert.deepEqual(bars.at(-1), ['cri', 0, 20]);
});
