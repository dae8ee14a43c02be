/** An entry of a kubelet's log (klog). Its text may have several lines. */
export interface LogLine {
  /** I, W, E or F: info, warning, error or fatal. */
  readonly severity: string;
  readonly text: string;
}

/** An event of a pod, as the kubelet publishes it. */
export interface PodEvent {
  /** `NAMESPACE/NAME` */
  readonly object: string;
  readonly reason: string;
  readonly message: string;
}

/** A pattern of errors that the runtime does not cause, with the reason. */
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

/** Returns errors and other entries about failed calls, except expected ones. Equal entries appear once. */
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

/** Returns the value of `name="…"`, or of `name=<`, whose lines follow, each after a tab. */
function field(text: string, name: string): string {
  const lines = new RegExp(`\\b${name}=<\\n(.*?)\\n >`, 's').exec(text)?.[1];
  if (lines !== undefined) return lines.replaceAll(/^\t/gm, '');
  const quoted = new RegExp(`\\b${name}=("(?:[^"\\\\]|\\\\.)*")`).exec(text)?.[1] ?? '""';
  try {
    return JSON.parse(quoted) as string;
  } catch {
    // Go's quoting has escapes that JSON does not have.
    return quoted.slice(1, -1);
  }
}
