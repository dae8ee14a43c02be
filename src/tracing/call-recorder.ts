import { CriError } from '../base/errors.js';
import { shortened } from '../base/shortened.js';
import type { Attributes, Span, Tracer } from '../base/span.js';
import { createSubscribers } from '../base/subscribers.js';
import { wallMs } from '../base/time.js';

/** A step or a call to containerd. Times are milliseconds on the monotonic clock. */
export interface RecordedSpan {
  readonly name: string;
  /** Its index + 1 in the spans of the call; 0 for the call itself. */
  readonly parent: number;
  readonly startMs: number;
  endMs: number | undefined;
  attributes: Attributes;
  failure: Failure | undefined;
}

/** A CRI call with its spans, parents before children. Spans may begin and end after the call's end. */
export interface RecordedCall {
  /** The gRPC path without its first slash: `runtime.v1.RuntimeService/RunPodSandbox`. */
  readonly method: string;
  /** On the wall clock. */
  readonly startedAtMs: number;
  readonly startMs: number;
  endMs: number | undefined;
  attributes: Attributes;
  failure: Failure | undefined;
  readonly spans: readonly RecordedSpan[];
  /** The number of spans beyond the bound, which are not kept. */
  leftOut: number;
}

interface Failure {
  readonly code: string;
  readonly message: string;
}

/** Keeps the last calls in memory. */
export interface CallRecorder {
  /** Returns undefined for a call that nobody wants. */
  readonly start: Tracer['start'];
  /** The kept calls, oldest first, those that still run included. */
  calls(): readonly RecordedCall[];
  /** Yields each call that begins from now on, as it ends; with `reads` also those that change nothing. */
  follow(signal: AbortSignal | undefined, reads: boolean): AsyncIterable<RecordedCall>;
  /** Ends all followers. */
  close(): void;
}

/** The spans of one call: a pod's start has about 50, a stop of a pod with 100 containers 1,000. */
const SPAN_LIMIT = 2_000;
/** The spans of all kept calls. */
const TOTAL_SPAN_LIMIT = 40_000;
/** The part of the kept calls that frequent ones may take: the probes of a node may be many a second. */
const FREQUENT_PART = 1 / 4;
/** Bytes of an error message that are kept. */
const MESSAGE_LIMIT = 1_000;
/** Unread calls of one follower. */
const QUEUE_LIMIT = 2_000;

export interface RecorderOptions {
  /** The number of calls. */
  readonly keep: number;
  /** Tells a call that changes nothing, which is only recorded for a follower. */
  readonly isRead: (method: string) => boolean;
  /** Tells a call that may come so often that it would displace the others. */
  readonly isFrequent: (method: string) => boolean;
  readonly queueLimit?: number;
}

export function createCallRecorder(options: RecorderOptions): CallRecorder {
  const kept = { frequent: [] as RecordedCall[], others: [] as RecordedCall[] };
  const keep = (call: RecordedCall): void => {
    const isFrequent = options.isFrequent(call.method);
    const list = isFrequent ? kept.frequent : kept.others;
    list.push(call);
    if (list.length > (isFrequent ? Math.ceil(options.keep * FREQUENT_PART) : options.keep)) list.shift();
    let spans = [...kept.frequent, ...kept.others].reduce((sum, each) => sum + each.spans.length, 0);
    while (spans > TOTAL_SPAN_LIMIT && kept.others.length > 1) spans -= kept.others.shift()?.spans.length ?? 0;
  };
  const followers = createSubscribers<RecordedCall>({ what: 'calls', queueLimit: options.queueLimit ?? QUEUE_LIMIT });
  let followersOfReads = 0;

  return {
    start(name, attributes) {
      const isRead = options.isRead(name);
      if (isRead && followersOfReads === 0) return undefined;
      const call = beginCall(name, attributes);
      if (!isRead) keep(call);
      return callSpan(call, () => followers.push(call));
    },
    calls: () => [...kept.frequent, ...kept.others].sort((a, b) => a.startMs - b.startMs),
    async *follow(signal, reads) {
      if (reads) followersOfReads++;
      try {
        for await (const call of followers.subscribe(signal)) if (reads || !options.isRead(call.method)) yield call;
      } finally {
        if (reads) followersOfReads--;
      }
    },
    close: followers.close,
  };
}

type Growing = RecordedCall & { readonly spans: RecordedSpan[] };

const beginCall = (method: string, attributes: Attributes): Growing => ({
  method,
  startedAtMs: wallMs(),
  startMs: performance.now(),
  endMs: undefined,
  attributes: bounded(attributes),
  failure: undefined,
  spans: [],
  leftOut: 0,
});

function callSpan(call: Growing, onEnd: () => void): Span {
  return {
    traceId: undefined,
    set: (more) => void (call.attributes = { ...call.attributes, ...bounded(more) }),
    child: (name, _kind, attributes = {}) => childSpan(call, 0, name, attributes),
    headers: () => ({}),
    end(failure) {
      end(call, failure);
      onEnd();
    },
  };
}

function childSpan(call: Growing, parent: number, name: string, attributes: Attributes): Span {
  const started = { name, parent, startMs: performance.now(), endMs: undefined, failure: undefined };
  const span: RecordedSpan = { ...started, attributes: bounded(attributes) };
  if (call.spans.length < SPAN_LIMIT) call.spans.push(span);
  else call.leftOut++;
  // The children of a span that is left out are left out too, since no later span is kept.
  const index = call.spans.length;
  return {
    traceId: undefined,
    set: (more) => void (span.attributes = { ...span.attributes, ...bounded(more) }),
    child: (childName, _kind, more = {}) => childSpan(call, index, childName, more),
    headers: () => ({}),
    end: (failure) => end(span, failure),
  };
}

function end(span: Pick<RecordedSpan, 'endMs' | 'failure'>, failure: Failure | undefined): void {
  span.endMs = performance.now();
  span.failure = failure && { code: failure.code, message: shortened(failure.message, MESSAGE_LIMIT) };
}

/** Cuts values: names come from requests that may not have been checked yet. */
const bounded = (attributes: Attributes): Attributes =>
  Object.fromEntries(
    Object.entries(attributes).map(([name, value]) => [
      name,
      typeof value === 'string' ? shortened(value, 512) : value,
    ]),
  );

/** Throws FAILED_PRECONDITION: crid is configured to record no calls. */
export function noRecorder(): never {
  throw new CriError('FAILED_PRECONDITION', 'crid.traced_calls is 0: crid records no calls');
}
