/** A span of `crid trace --json`, in the trace event format. */
export interface TraceEvent {
  readonly ph: string;
  readonly name: string;
  readonly cat?: string;
  /** The number of the call, from 1. */
  readonly pid: number;
  /** Microseconds. */
  readonly ts?: number;
  readonly dur?: number;
}

/** The calls of one pod's start, under a title. */
export interface Panel {
  readonly title: string;
  readonly events: readonly TraceEvent[];
}

interface Bar {
  readonly kind: 'cri' | 'step' | 'containerd';
  readonly fromUs: number;
  readonly lengthUs: number;
}

/** A call, or a step of it with the calls to containerd that it made. */
interface Row {
  readonly label: string;
  readonly bars: readonly Bar[];
}

interface Drawing {
  readonly rows: readonly Row[];
  readonly wholeUs: number;
}

/** The time that the calls of a pod took together, without the time between them. */
export const wholeUsOf = (events: readonly TraceEvent[]): number =>
  events.filter(({ cat }) => cat === 'cri').reduce((sum, { dur = 0 }) => sum + dur, 0);

/** Returns an SVG with one panel above the other, all on one time scale. The time between two calls is left out. */
export function drawPanels(panels: readonly Panel[]): string {
  const drawings = panels.map(({ events }) => drawingOf(events));
  const scaleUs = Math.max(1, ...drawings.map(({ wholeUs }) => wholeUs));
  let top = MARGIN;
  const parts = drawings.map((drawing, index) => {
    const part = panelSvg({ title: panels[index]?.title ?? '', drawing, scaleUs, top });
    top += TITLE_HEIGHT + drawing.rows.length * ROW_HEIGHT + PANEL_GAP;
    return part;
  });
  return `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${WIDTH} ${top + KEY_HEIGHT}" role="img">
<style>${STYLE}</style>
<rect class="paper" width="${WIDTH}" height="${top + KEY_HEIGHT}" rx="8"/>
${parts.join('\n')}
${keySvg(top)}
</svg>
`;
}

const WIDTH = 960;
const MARGIN = 20;
const LABELS = 230;
const TIMES = 80;
const BARS = WIDTH - LABELS - TIMES - 2 * MARGIN;
const ROW_HEIGHT = 17;
const BAR_HEIGHT = 11;
const TITLE_HEIGHT = 46;
const PANEL_GAP = 22;
const KEY_HEIGHT = 36;
const MAX_TICKS = 8;

const STYLE = `
text { font: 12px system-ui, sans-serif; fill: #222; }
.title { font-size: 15px; font-weight: 600; }
.call { font-weight: 600; }
.time { text-anchor: end; fill: #666; }
.tick { text-anchor: middle; font-size: 10px; fill: #666; }
.grid { stroke: #ddd; }
.paper { fill: #fff; }
.cri { fill: #3b6fb6; } .step { fill: #a9cfb2; } .containerd { fill: #c98a2b; }
`;

function drawingOf(events: readonly TraceEvent[]): Drawing {
  const rows: { label: string; bars: Bar[] }[] = [];
  let [beginsAtUs, startedUs, lengthUs] = [0, 0, 0];
  for (const { ph, cat, name, ts = 0, dur = 0 } of events) {
    if (ph !== 'X') continue;
    if (cat === 'cri') [beginsAtUs, startedUs, lengthUs] = [beginsAtUs + lengthUs, ts, dur];
    const kind = cat === 'cri' ? 'cri' : cat === 'containerd' ? 'containerd' : 'step';
    const bar = { kind, fromUs: beginsAtUs + ts - startedUs, lengthUs: dur } as const;
    // A call to containerd comes after the step that made it.
    const step = rows.at(-1);
    if (kind === 'containerd' && step) step.bars.push(bar);
    else rows.push({ label: kind === 'cri' ? name.replace(/ .*/, '') : name, bars: [bar] });
  }
  return { rows, wholeUs: beginsAtUs + lengthUs };
}

function panelSvg(panel: {
  readonly title: string;
  readonly drawing: Drawing;
  readonly scaleUs: number;
  readonly top: number;
}): string {
  const { title, drawing, scaleUs, top } = panel;
  const at = (us: number): number => MARGIN + LABELS + TIMES + (us / scaleUs) * BARS;
  const first = top + TITLE_HEIGHT;
  const bottom = first + drawing.rows.length * ROW_HEIGHT;
  const ticks = ticksOf(scaleUs).map((us) => {
    const x = at(us).toFixed(1);
    return (
      `<line class="grid" x1="${x}" y1="${first - 4}" x2="${x}" y2="${bottom}"/>` +
      `<text class="tick" x="${x}" y="${first - 8}">${us / 1000} ms</text>`
    );
  });
  const rows = drawing.rows.map(({ label, bars }, index) => {
    const y = first + index * ROW_HEIGHT;
    const isCall = bars[0]?.kind === 'cri';
    const text = y + BAR_HEIGHT;
    return [
      `<text${isCall ? ' class="call"' : ''} x="${MARGIN + (isCall ? 0 : 12)}" y="${text}">${escaped(label)}</text>`,
      `<text class="time" x="${MARGIN + LABELS + TIMES - 10}" y="${text}">${ms(bars[0]?.lengthUs ?? 0)}</text>`,
      ...bars.map(
        ({ kind, fromUs, lengthUs }) =>
          `<rect class="${kind}" x="${at(fromUs).toFixed(1)}" y="${y + 1}" rx="1" height="${BAR_HEIGHT}" ` +
          `width="${Math.max(1, (lengthUs / scaleUs) * BARS).toFixed(1)}"/>`,
      ),
    ].join('');
  });
  const heading = `${escaped(title)}: ${ms(drawing.wholeUs)}`;
  return [`<text class="title" x="${MARGIN}" y="${top + 14}">${heading}</text>`, ...ticks, ...rows].join('\n');
}

/** Round times with equal distances. */
function ticksOf(scaleUs: number): number[] {
  const distance = [5, 10, 20, 25, 50, 100, 200, 500].find((each) => each * 1000 * MAX_TICKS >= scaleUs) ?? 1000;
  const count = Math.floor(scaleUs / (distance * 1000));
  return Array.from({ length: count + 1 }, (_, index) => index * distance * 1000);
}

function keySvg(top: number): string {
  const entries = [
    ['cri', 'CRI call'],
    ['step', 'step'],
    ['containerd', 'call to containerd in the step'],
  ] as const;
  return entries
    .map(([kind, text], index) => {
      const x = MARGIN + index * 110;
      return `<rect class="${kind}" x="${x}" y="${top}" width="14" height="${BAR_HEIGHT}" rx="1"/><text x="${x + 20}" y="${top + 10}">${text}</text>`;
    })
    .join('');
}

const ms = (us: number): string => `${(us / 1000).toFixed(1)} ms`;

const escaped = (text: string): string =>
  text.replaceAll('&', '&amp;').replaceAll('<', '&lt;').replaceAll('>', '&gt;').replaceAll('"', '&quot;');
