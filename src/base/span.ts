/** A tracing span: one RPC, one step, or one call to containerd. */
export interface Span {
  /** Undefined for a span that is sent nowhere. */
  readonly traceId: string | undefined;
  /** Sets attributes, under the names that containerd's CRI plugin uses: `sandbox.id`, `container.id`, `image.ref`. */
  set(attributes: Attributes): void;
  child(name: string, kind: SpanKind, attributes?: Attributes): Span;
  /** Returns the headers (W3C Trace Context) that make the callee's spans children of this one. */
  headers(): Readonly<Record<string, string>>;
  end(failure?: { readonly code: string; readonly message: string }): void;
}

export type SpanKind = 'internal' | 'client';
export type Attributes = Readonly<Record<string, string | number>>;

/** Starts the span of a call, or returns undefined if it does not want it. `header` reads the caller's headers. */
export interface Tracer {
  start(name: string, attributes: Attributes, header: (name: string) => string | undefined): Span | undefined;
}
