import type { TracedCall, TracedSpan } from '../../generated/crid/v1/traces.js';

/** A line of a call's tree: the call itself or one of its spans. Times are microseconds from the start of the call. */
export interface TreeLine {
  /** 0 for the call. */
  readonly depth: number;
  /** `RunPodSandbox default/web`, `add network`, `containerd tasks.create 3f2a…`. */
  readonly label: string;
  readonly startUs: number;
  readonly durationUs: number;
  readonly isRunning: boolean;
  /** `NOT_FOUND: …`, or undefined when there was no error. */
  readonly error: string | undefined;
  /** For each depth from 1 on, whether a sibling of that ancestor follows: the lines of the tree. */
  readonly branches: readonly boolean[];
}

/** Returns the lines of a call in the order of a tree: each span below its parent, siblings by their start. */
export function callTree(call: TracedCall): TreeLine[] {
  const children = new Map<number, { readonly number: number; readonly span: TracedSpan }[]>();
  call.spans.forEach((span, index) => {
    const siblings = children.get(span.parent) ?? [];
    siblings.push({ number: index + 1, span });
    children.set(span.parent, siblings);
  });
  const lines: TreeLine[] = [lineOf(callLabel(call), 0n, call, [])];
  const add = (parent: number, above: readonly boolean[]): void => {
    const siblings = (children.get(parent) ?? []).sort((a, b) => Number(a.span.start_us - b.span.start_us));
    siblings.forEach(({ number, span }, index) => {
      const branches = [...above, index < siblings.length - 1];
      lines.push(lineOf(spanLabel(span), span.start_us, span, branches));
      add(number, branches);
    });
  };
  add(0, []);
  return lines;
}

/** The end of the last span or of the call, in microseconds from the call's start. */
export const wholeUs = (lines: readonly TreeLine[]): number =>
  lines.reduce((most, { startUs, durationUs }) => Math.max(most, startUs + durationUs), 1);

const lineOf = (
  label: string,
  startUs: bigint,
  { duration_us, is_running, code, message }: Pick<TracedSpan, 'duration_us' | 'is_running' | 'code' | 'message'>,
  branches: readonly boolean[],
): TreeLine => ({
  depth: branches.length,
  label,
  startUs: Number(startUs),
  durationUs: Number(duration_us),
  isRunning: is_running,
  error: code === '' ? undefined : `${code}: ${message}`,
  branches,
});

/** The method and its object: the name of the pod or container if the request has it, otherwise a short id. */
export function callLabel({ method, attributes }: TracedCall): string {
  const container = attributes['container.name'];
  const pod = attributes['sandbox.name'];
  const names = [container, pod].filter((name) => name !== undefined).join(' in ');
  const id = attributes['container.id'] ?? attributes['sandbox.id'];
  const subject = names || id || attributes['image.ref'];
  return subject ? short(`${method} ${subject}`) : method;
}

/** Steps are named `run pod sandbox: add network`; the tree shows the operation's name once, in the call. */
function spanLabel({ name, attributes }: TracedSpan): string {
  const subject = attributes['subject'];
  const [, step] = /^[a-z ]+: (.*)$/.exec(name) ?? [];
  return short([step ?? name, ...(subject ? [subject] : [])].join(' '));
}

/** Ids and digests are cut to their first 13 characters, as crictl does. */
const short = (subject: string): string => subject.replace(/\b(?:sha256:)?([0-9a-f]{13})[0-9a-f]{19,}\b/g, '$1');

/** `412.3 ms`, `12.04 s` */
export function duration(us: number): string {
  return us < 10_000_000 ? `${(us / 1000).toFixed(1)} ms` : `${(us / 1_000_000).toFixed(2)} s`;
}

/** `2026-11-24 04:01:58.979`, in UTC. */
export const startTime = ({ started_at }: TracedCall): string =>
  new Date(Number(started_at / 1_000_000n)).toISOString().replace('T', ' ').replace('Z', '');
