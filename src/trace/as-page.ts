import type { TracedCall } from '../../generated/crid/v1/traces.js';
import { callTree, duration, startTime, wholeUs, type TreeLine } from './call-tree.js';

/** Returns one HTML page without scripts and without links to other files: each call as a tree beside a time line. */
export function asPage(calls: readonly TracedCall[], title: string): string {
  return `<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'unsafe-inline'">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>${escaped(title)}</title>
<style>${STYLE}</style>
</head>
<body>
<h1>${escaped(title)}</h1>
<p class="key"><i class="cri"></i>CRI call <i class="step"></i>step <i class="containerd"></i>call to containerd
<i class="failed"></i>failed <i class="step running"></i>still running</p>
${calls.map(callHtml).join('\n')}
</body>
</html>
`;
}

const TICKS = 4;

function callHtml(call: TracedCall): string {
  const lines = callTree(call);
  const whole = wholeUs(lines);
  const [head] = lines;
  const ticks = Array.from({ length: TICKS + 1 }, (_, tick) => {
    const text = duration((whole / TICKS) * tick);
    return `<span style="left:${(100 / TICKS) * tick}%">${text}</span>`;
  });
  const leftOut = call.left_out === 0 ? '' : `\n<p>${call.left_out} more spans are not kept.</p>`;
  return `<details open>
<summary><time>${startTime(call)}</time> ${escaped(head?.label ?? '')} <b>${duration(Number(call.duration_us))}</b></summary>
<div class="row ticks"><span class="lane">${ticks.join('')}</span></div>
${lines.map((line) => lineHtml(line, whole)).join('\n')}${leftOut}
</details>`;
}

function lineHtml(line: TreeLine, whole: number): string {
  const { depth, label, startUs, durationUs, isRunning, error } = line;
  const kind = depth === 0 ? 'cri' : label.startsWith('containerd ') ? 'containerd' : 'step';
  const classes = [kind, ...(error === undefined ? [] : ['failed']), ...(isRunning ? ['running'] : [])].join(' ');
  const [left, width] = [startUs, durationUs].map((us) => ((us / whole) * 100).toFixed(3));
  const tip = `${label}: ${duration(durationUs)} from +${duration(startUs)}${error === undefined ? '' : `\n${error}`}`;
  const below =
    error === undefined ? '' : `<div class="error" style="padding-left:${depth}rem">${escaped(error)}</div>`;
  return (
    `<div class="row" title="${escaped(tip)}"><span class="label" style="padding-left:${depth}rem">${escaped(label)}</span>` +
    `<span class="time">${duration(durationUs)}</span>` +
    `<span class="lane"><i class="${classes}" style="left:${left}%;width:${width}%"></i></span></div>${below}`
  );
}

const ESCAPES: Readonly<Record<string, string>> = {
  '&': '&amp;',
  '<': '&lt;',
  '>': '&gt;',
  '"': '&quot;',
  "'": '&#39;',
};

/** Names in a trace come from images and pods, which nobody has to trust. */
const escaped = (text: string): string => text.replace(/[&<>"']/g, (character) => ESCAPES[character] ?? '');

const STYLE = `
:root { color-scheme: light dark; --cri: #3b6fb6; --step: #5d9e6c; --containerd: #c98a2b; --failed: #c0392b; }
body { font: 14px/1.5 system-ui, sans-serif; margin: 1.5rem; }
h1 { font-size: 1.2rem; }
.key i { display: inline-block; position: static; width: 1.2rem; height: .7rem; margin: 0 .3rem 0 1rem; }
details { border-top: 1px solid #8885; padding: .6rem 0; }
summary { cursor: pointer; font-weight: 600; }
summary time { font-weight: 400; opacity: .7; margin-right: .5rem; }
.row { display: grid; grid-template-columns: minmax(12rem, 24rem) 6rem 1fr; column-gap: .8rem; }
.row:hover { background: #8882; }
.label { overflow: hidden; text-overflow: ellipsis; white-space: nowrap; }
.time { text-align: right; font-variant-numeric: tabular-nums; opacity: .8; }
.lane { position: relative; min-height: 1.3rem; border-left: 1px solid #8885; border-right: 1px solid #8885; }
.ticks .lane { grid-column: 3; border: 0; }
.ticks .lane span { position: absolute; font-size: .75rem; opacity: .7; transform: translateX(-50%); white-space: nowrap; }
.ticks .lane span:last-child { transform: translateX(-100%); }
i { position: absolute; top: .25rem; height: .8rem; min-width: 2px; border-radius: 2px; }
.cri { background: var(--cri); } .step { background: var(--step); } .containerd { background: var(--containerd); }
.failed { background: var(--failed); }
.running { background-image: repeating-linear-gradient(45deg, #fff8 0 4px, transparent 4px 8px); }
.error { color: var(--failed); }
`;
