const UNIT_MS: Readonly<Record<string, number>> = { H: 3600e3, M: 60e3, S: 1e3, m: 1, u: 1e-3, n: 1e-6 };

/**
 * Returns the milliseconds in a `grpc-timeout` header, which may be years; undefined for a call without one. Throws a
 * SyntaxError (https://github.com/grpc/grpc/blob/master/doc/PROTOCOL-HTTP2.md#requests: up to eight digits and a unit).
 */
export function timeoutOf(header: string | string[] | undefined): number | undefined {
  if (header === undefined) return undefined;
  const [, digits, unit = ''] = /^(\d{1,8})\s*([HMSmun])$/.exec(String(header)) ?? [];
  const unitMs = UNIT_MS[unit];
  if (digits === undefined || unitMs === undefined) throw new SyntaxError(`invalid grpc-timeout "${String(header)}"`);
  return Number(digits) * unitMs;
}
