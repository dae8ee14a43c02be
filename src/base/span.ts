/** What of one thing that takes time goes to whoever follows traces: a call, a step, a call to containerd. */
export interface Span {
  readonly traceId: string;
  /** By the names that containerd's CRI plugin has: `sandbox.id`, `container.id`, `image.ref`. */
  set(attributes: Attributes): void;
  child(name: string, kind: SpanKind, attributes?: Attributes): Span;
  /** What makes the spans of a callee children of this one: the headers of the W3C's Trace Context. */
  headers(): Readonly<Record<string, string>>;
  end(failure?: { readonly code: string; readonly message: string }): void;
}

export type SpanKind = 'internal' | 'client';
export type Attributes = Readonly<Record<string, string | number>>;

/** Begins the span of a call; `header` reads what the caller sent with it. */
export interface Tracer {
  start(name: string, attributes: Attributes, header: (name: string) => string | undefined): Span;
  /** Sends what is left. */
  close(): Promise<void>;
}
