/** Durations as Go writes them (https://pkg.go.dev/time#ParseDuration), which containerd's configuration uses. */

const UNIT_MS: Readonly<Record<string, number>> = {
  ns: 1e-6,
  us: 1e-3,
  µs: 1e-3, // U+00B5, micro sign
  μs: 1e-3, // U+03BC, Greek mu: Go takes both
  ms: 1,
  s: 1e3,
  m: 60e3,
  h: 3600e3,
};

const TERM = /(\d+\.?\d*|\.\d+)(ns|us|µs|μs|ms|s|m|h)/y;

/**
 * Returns the milliseconds of a Go duration such as `10s` or `1h30m`, or undefined when `text` is not a duration. `0`
 * needs no unit.
 */
export function parseDurationMs(text: string): number | undefined {
  const sign = text.startsWith('-') ? -1 : 1;
  const body = /^[+-]/.test(text) ? text.slice(1) : text;
  if (body === '0') return 0;
  if (body === '') return undefined;
  let ms = 0;
  TERM.lastIndex = 0;
  while (TERM.lastIndex < body.length) {
    const term = TERM.exec(body);
    if (!term) return undefined;
    ms += Number(term[1]) * (UNIT_MS[term[2] ?? ''] ?? 0);
  }
  return sign * ms;
}

/**
 * Returns the milliseconds of a duration in a loaded, checked Config. Throws a RangeError when it is not a duration.
 */
export function durationMs(text: string): number {
  const ms = parseDurationMs(text);
  if (ms === undefined) throw new RangeError(`"${text}" is not a duration such as "10s" or "1h30m"`);
  return ms;
}
