import { Metadata, ServerInterceptingCall, type ServerInterceptor } from '@grpc/grpc-js';
import type { Metadata as CallMetadata } from 'nice-grpc';
import { MAX_TIMER_MS, wallMs } from '../base/time.js';

/**
 * grpc-js knows a call's deadline, nice-grpc does not pass it on: an interceptor writes it into the call's metadata
 * (https://github.com/deeplay-io/nice-grpc has no field for it as of 2.1). A client cannot set it: it is removed.
 */
const KEY = 'crid-deadline-ms';

export const deadlineInterceptor: ServerInterceptor = (_method, call) =>
  new ServerInterceptingCall(call, {
    start: (next) =>
      next({
        onReceiveMetadata(metadata, pass) {
          const deadline = call.getDeadline();
          const deadlineMs = deadline instanceof Date ? deadline.getTime() : deadline;
          if (Number.isFinite(deadlineMs)) metadata.set(KEY, String(performance.now() + deadlineMs - wallMs()));
          pass(metadata);
        },
      }),
  });

/** The deadline on the monotonic clock (`performance.now()`); undefined if the caller waits for ever. */
export function deadlineOf(metadata: CallMetadata): number | undefined {
  const value = metadata.get(KEY);
  return value === undefined ? undefined : Number(value);
}

const UNIT_MS: Readonly<Record<string, number>> = { H: 3600e3, M: 60e3, S: 1e3, m: 1, u: 1e-3, n: 1e-6 };

type Headers = Parameters<typeof Metadata.fromHttp2Headers>[0];

/**
 * grpc-js counts a call's time in 32 bits: a `grpc-timeout` above 24.8 days becomes negative, and the call fails with
 * DEADLINE_EXCEEDED at once (`(+match[1] * unit) | 0`,
 * https://github.com/grpc/grpc-node/blob/%40grpc/grpc-js%401.14.0/packages/grpc-js/src/server-interceptors.ts#L700).
 * crid takes such a header away before grpc-js reads it: grpc-js then sets no timer, and the deadline reaches the
 * operations through the metadata. grpc-js has no hook before that reader; the one public function on its way is
 * `Metadata.fromHttp2Headers`.
 */
export function readFarDeadlines(): void {
  if (Metadata.fromHttp2Headers === fromHttp2Headers) return;
  Metadata.fromHttp2Headers = fromHttp2Headers;
}

const original = Metadata.fromHttp2Headers.bind(Metadata);

function fromHttp2Headers(headers: Headers): Metadata {
  const timeoutMs = timeoutOf(headers['grpc-timeout']);
  const isFar = timeoutMs !== undefined && timeoutMs > MAX_TIMER_MS;
  if (!isFar && headers[KEY] === undefined) return original(headers);
  const { [KEY]: _forged, 'grpc-timeout': timeout, ...rest } = headers;
  return original({
    ...rest,
    ...(isFar ? { [KEY]: String(performance.now() + timeoutMs) } : { 'grpc-timeout': timeout }),
  });
}

/** https://github.com/grpc/grpc/blob/master/doc/PROTOCOL-HTTP2.md#requests: up to eight digits and a unit. */
function timeoutOf(header: string | string[] | undefined): number | undefined {
  const [, digits, unit = ''] = /^(\d{1,8})\s*([HMSmun])$/.exec(String(header ?? '')) ?? [];
  const unitMs = UNIT_MS[unit];
  return digits === undefined || unitMs === undefined ? undefined : Number(digits) * unitMs;
}
