import type * as Otel from '@opentelemetry/api';
import { Code, type CodeName } from '../base/errors.js';
import type { Logger } from '../base/log.js';
import type { Attributes, Span, SpanKind, Tracer } from '../base/span.js';
import { withLimit } from '../base/time.js';
import { VERSION } from '../version.js';

const CLOSE_LIMIT_MS = 5_000;

/** A tracer that sends its spans. */
export interface SendingTracer extends Tracer {
  /** Sends the remaining spans. */
  close(): Promise<void>;
}

/**
 * Sends spans to an OTLP receiver over HTTP if the environment configures one (`OTEL_EXPORTER_OTLP_ENDPOINT` and the
 * other variables of the OpenTelemetry specification for SDKs). Otherwise returns undefined and loads no OpenTelemetry
 * code.
 */
export async function startTracing(env: NodeJS.ProcessEnv, log: Logger): Promise<SendingTracer | undefined> {
  const endpoint = env['OTEL_EXPORTER_OTLP_TRACES_ENDPOINT'] || env['OTEL_EXPORTER_OTLP_ENDPOINT'];
  const isOff = env['OTEL_SDK_DISABLED'] === 'true' || env['OTEL_TRACES_EXPORTER'] === 'none';
  if (!endpoint || isOff) return undefined;
  const [api, { BasicTracerProvider, BatchSpanProcessor }, { OTLPTraceExporter }, resources] = await Promise.all([
    import('@opentelemetry/api'),
    import('@opentelemetry/sdk-trace-base'),
    import('@opentelemetry/exporter-trace-otlp-http'),
    import('@opentelemetry/resources'),
  ]);
  const { W3CTraceContextPropagator } = await import('@opentelemetry/core');
  const tell = (message: string): void => log.warn({ err: message }, 'traces not sent');
  const quiet = (): void => undefined;
  const logger = { error: tell, warn: tell, info: quiet, debug: quiet, verbose: quiet };
  api.diag.setLogger(logger, { logLevel: api.DiagLogLevel.WARN, suppressOverrideMessage: true });
  const named = resources.resourceFromAttributes({ 'service.name': 'crid', 'service.version': VERSION });
  const provider = new BasicTracerProvider({
    // The environment's attributes come last, so that they override the others.
    resource: named.merge(resources.detectResources({ detectors: [resources.envDetector] })),
    // The queue is bounded: spans that the receiver does not accept in time are dropped.
    spanProcessors: [new BatchSpanProcessor(new OTLPTraceExporter())],
  });
  const spans = createSpans(api, provider.getTracer('crid', VERSION), new W3CTraceContextPropagator());
  log.info({ endpoint: endpoint.replace(/\/\/[^/@]*@/, '//') }, 'traces are sent to an OTLP receiver');
  return {
    start: spans,
    close: () =>
      withLimit(
        provider.shutdown().catch((thrown: unknown) => tell(String(thrown))),
        CLOSE_LIMIT_MS,
        () => undefined,
      ),
  };
}

function createSpans(api: typeof Otel, tracer: Otel.Tracer, propagator: Otel.TextMapPropagator): Tracer['start'] {
  const { ROOT_CONTEXT, SpanKind: Kind, SpanStatusCode, trace } = api;
  const kinds: Readonly<Record<SpanKind | 'server', (typeof Kind)[keyof typeof Kind]>> = {
    server: Kind.SERVER,
    client: Kind.CLIENT,
    internal: Kind.INTERNAL,
  };
  const begin = (name: string, kind: keyof typeof kinds, attributes: Attributes, parent: Otel.Context): Span => {
    const span = tracer.startSpan(name, { kind: kinds[kind], attributes }, parent);
    const context = trace.setSpan(parent, span);
    return {
      traceId: span.spanContext().traceId,
      set: (more) => void span.setAttributes(more),
      child: (childName, childKind, more = {}) => begin(childName, childKind, more, context),
      headers() {
        const carrier: Record<string, string> = {};
        propagator.inject(context, carrier, api.defaultTextMapSetter);
        return carrier;
      },
      end: (failure) => end(span, failure),
    };
  };
  const end = (span: Otel.Span, failure: Parameters<Span['end']>[0]): void => {
    if (failure) {
      span.setStatus({ code: SpanStatusCode.ERROR, message: failure.message });
      span.setAttribute('rpc.grpc.status_code', Code[failure.code as CodeName] ?? Code.UNKNOWN);
    }
    span.end();
  };
  return (name, attributes, header) => {
    const getter = { keys: () => [], get: (_carrier: unknown, key: string) => header(key) };
    return begin(name, 'server', attributes, propagator.extract(ROOT_CONTEXT, {}, getter));
  };
}
