import {
  TracesDefinition,
  type ReadCallsRequest,
  type TracedCall,
  type TracedSpan,
} from '../../generated/crid/v1/traces.js';
import type { Attributes } from '../base/span.js';
import type { Caller } from '../operation/operation.js';
import { noRecorder, type CallRecorder, type RecordedCall, type RecordedSpan } from '../tracing/call-recorder.js';
import { QUIET } from './middleware.js';
import { implement } from './service.js';

/** The path changes nothing, or lasts as long as its caller wants. Neither is recorded. */
export const isUnrecorded = (method: string): boolean =>
  QUIET.test(`/${method}`) || /\/GetContainerEvents$/.test(method);

/** A path that probes call. */
export const isProbe = (method: string): boolean => method.endsWith('/ExecSync');

/** crid.v1.Traces: the recorded calls. `recorder` is undefined if crid records none. */
export const tracesService = (recorder: CallRecorder | undefined) =>
  implement(TracesDefinition, {
    readCalls: (request: ReadCallsRequest, { signal }: Caller): AsyncIterable<TracedCall> =>
      readCalls(recorder ?? noRecorder(), request, signal),
  });

async function* readCalls(
  recorder: CallRecorder,
  { last, follow, reads }: ReadCallsRequest,
  signal: AbortSignal | undefined,
): AsyncGenerator<TracedCall> {
  const calls = recorder.calls().slice(last === 0 ? 0 : -last);
  if (!follow) {
    for (const call of calls) yield tracedCall(call);
    return;
  }
  const following = recorder.follow(signal, reads)[Symbol.asyncIterator]();
  const take = (): ReturnType<typeof following.next> => {
    const taken = following.next();
    // Awaited later, when the client has read what came before.
    taken.catch(() => undefined);
    return taken;
  };
  try {
    // The subscription begins here, so that a call that ends while the recorded ones are sent is not missed.
    let next = take();
    // A call that still runs is sent when it ends.
    for (const call of calls.filter(({ endMs }) => endMs !== undefined)) yield tracedCall(call);
    for (let item = await next; item.done !== true; item = await next) {
      next = take();
      yield tracedCall(item.value);
    }
  } finally {
    await following.return?.();
  }
}

const NS_PER_MS = 1_000_000n;

function tracedCall(call: RecordedCall): TracedCall {
  return {
    method: call.method.slice(call.method.lastIndexOf('/') + 1),
    started_at: BigInt(Math.round(call.startedAtMs)) * NS_PER_MS,
    ...ended(call),
    attributes: texts(call.attributes),
    spans: call.spans.map((span) => tracedSpan(span, call.startMs)),
    left_out: call.leftOut,
  };
}

const tracedSpan = (span: RecordedSpan, callStartMs: number): TracedSpan => ({
  name: span.name,
  parent: span.parent,
  start_us: microseconds(span.startMs - callStartMs),
  ...ended(span),
  attributes: texts(span.attributes),
});

const ended = ({ startMs, endMs, failure }: Pick<RecordedSpan, 'startMs' | 'endMs' | 'failure'>) => ({
  duration_us: microseconds((endMs ?? performance.now()) - startMs),
  is_running: endMs === undefined,
  code: failure?.code ?? '',
  message: failure?.message ?? '',
});

const microseconds = (ms: number): bigint => BigInt(Math.max(0, Math.round(ms * 1000)));

const texts = (attributes: Attributes): Record<string, string> =>
  Object.fromEntries(Object.entries(attributes).map(([name, value]) => [name, String(value)]));
