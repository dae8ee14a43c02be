import type { Logger } from '../base/log.js';
import type { Span, Tracer } from '../base/span.js';
import { createCallRecorder, type CallRecorder, type RecorderOptions } from './call-recorder.js';
import { startTracing } from './otlp.js';

export interface Tracers {
  /** Undefined when nothing wants spans. */
  readonly tracer: Tracer | undefined;
  /** Undefined when no calls are kept. */
  readonly recorder: CallRecorder | undefined;
  /** Sends the remaining spans. */
  close(): Promise<void> | undefined;
}

/** Starts the tracers that the environment (see `startTracing`) and the options of the recorder want. */
export async function startTracers(env: NodeJS.ProcessEnv, recorded: RecorderOptions, log: Logger): Promise<Tracers> {
  const sending = await startTracing(env, log);
  const recorder = recorded.keep > 0 ? createCallRecorder(recorded) : undefined;
  const tracer = allTracers([...(sending ? [sending] : []), ...(recorder ? [recorder] : [])]);
  return { tracer, recorder, close: () => sending?.close() };
}

/** Hands every span to each of the tracers that want it. Undefined when there is no tracer. */
function allTracers(tracers: readonly Tracer[]): Tracer | undefined {
  const [only, ...more] = tracers;
  if (!only || more.length === 0) return only;
  return {
    start: (name, attributes, header) =>
      allSpans(
        tracers.flatMap((tracer) => {
          const span = tracer.start(name, attributes, header);
          return span ? [span] : [];
        }),
      ),
  };
}

function allSpans(spans: readonly Span[]): Span | undefined {
  const [only, ...more] = spans;
  if (!only || more.length === 0) return only;
  return {
    traceId: spans.find(({ traceId }) => traceId !== undefined)?.traceId,
    set: (attributes) => spans.forEach((span) => span.set(attributes)),
    child: (name, kind, attributes) => allSpans(spans.map((span) => span.child(name, kind, attributes))) ?? only,
    headers: () => Object.assign({}, ...spans.map((span) => span.headers())) as Record<string, string>,
    end: (failure) => spans.forEach((span) => span.end(failure)),
  };
}
