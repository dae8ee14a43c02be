/** An entry of a kubelet's log (klog); its text may have more than one line. */
export interface LogLine {
  /** Info, warning, error, fatal. */
  readonly severity: string;
  readonly text: string;
}

/** What the kubelet says of a pod to whoever asks for its events. */
export interface PodEvent {
  /** `NAMESPACE/NAME` */
  readonly object: string;
  readonly reason: string;
  readonly message: string;
}

/** An error that is no fault of the runtime, and why. */
export interface Expected {
  readonly pattern: RegExp;
  readonly reason: string;
}

const START = /^(?=[IWEF]\d{4} [\d:.]+ )/m;
const ENTRY = /^([IWEF])\d{4} [\d:.]+ +\d+ [^\]]+\] (.*)$/s;

export const parseLog = (log: string): LogLine[] =>
  log.split(START).flatMap((entry) => {
    const [, severity, text] = ENTRY.exec(entry.trimEnd()) ?? [];
    return severity !== undefined && text !== undefined ? [{ severity, text }] : [];
  });

/** Errors, and whatever else tells of a call that has failed, without those that are expected; equal ones once. */
export function unexpectedErrors(log: string, expected: readonly Expected[]): string[] {
  const errors = parseLog(log)
    .filter(({ severity, text }) => severity === 'E' || severity === 'F' || text.includes('rpc error:'))
    .map(({ text }) => text)
    .filter((text) => !expected.some(({ pattern }) => pattern.test(text)));
  return [...new Map(errors.map((text) => [text.replaceAll(/\b[0-9a-f]{64}\b/g, ''), text])).values()];
}

export const parseEvents = (log: string): PodEvent[] =>
  parseLog(log)
    .filter(({ text }) => text.startsWith('"Event occurred"'))
    .map(({ text }) => ({
      object: field(text, 'object'),
      reason: field(text, 'reason'),
      message: field(text, 'message'),
    }));

/** The value of `name="…"`, or of `name=<`, which has lines of its own, each behind a tab. */
function field(text: string, name: string): string {
  const lines = new RegExp(`\\b${name}=<\\n(.*?)\\n >`, 's').exec(text)?.[1];
  if (lines !== undefined) return lines.replaceAll(/^\t/gm, '');
  const quoted = new RegExp(`\\b${name}=("(?:[^"\\\\]|\\\\.)*")`).exec(text)?.[1] ?? '""';
  try {
    return JSON.parse(quoted) as string;
  } catch {
    // Go's quoting has escapes that JSON lacks.
    return quoted.slice(1, -1);
  }
}
