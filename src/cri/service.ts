import type { Caller } from '../operation/operation.js';

/** Encodes one response: a generated message, or a faster encoder for long lists. */
export interface Codec<T> {
  encode(message: T): { finish(): Uint8Array };
}

export interface GeneratedMethod {
  readonly name: string;
  readonly requestType: { decode(bytes: Uint8Array): unknown; encode(message: never): { finish(): Uint8Array } };
  readonly responseType: { decode(bytes: Uint8Array): unknown; encode(message: never): { finish(): Uint8Array } };
  readonly requestStream: boolean;
  readonly responseStream: boolean;
  readonly options: object;
}

export interface GeneratedService {
  readonly fullName: string;
  readonly methods: Readonly<Record<string, GeneratedMethod>>;
}

type RequestOf<M extends GeneratedMethod> = ReturnType<M['requestType']['decode']>;
type ResponseOf<M extends GeneratedMethod> = ReturnType<M['responseType']['decode']>;

/** A method as the server serves it. */
export interface ServedMethod {
  /** `/runtime.v1.RuntimeService/Version` */
  readonly path: string;
  readonly responseStream: boolean;
  decode(message: Uint8Array): unknown;
  /** Encodes a response, or one of several. */
  encode(response: unknown): Uint8Array;
  /** Returns the response, or an iterable of the responses of a method that has several. */
  handle(request: unknown, caller: Caller): Promise<unknown> | AsyncIterable<unknown>;
}

/** The methods of a service by their names in the generated code. */
export type Service = Readonly<Record<string, ServedMethod>>;

/** A handler of a unary RPC. `caller` has the call's deadline and abort signal. */
export type Handler<Request, Response> = (request: Request, caller: Caller) => Promise<Response> | Response;

/** A handler of a streaming RPC. It yields messages, encoded or not, until it returns or the caller has gone. */
export type StreamHandler<Request, Response> = (
  request: Request,
  caller: Caller,
) => AsyncIterable<Response | Uint8Array>;

/** A handler whose result is not the generated message, with the codec of that result. */
export interface Encoded<Request, Response> {
  readonly handle: Handler<Request, Response>;
  readonly codec: Codec<Response>;
}

/** The handlers of a service by method; a method without a handler fails with UNIMPLEMENTED. */
export type Handlers<S extends GeneratedService> = {
  readonly [M in keyof S['methods']]?: S['methods'][M]['responseStream'] extends true
    ? StreamHandler<RequestOf<S['methods'][M]>, ResponseOf<S['methods'][M]>>
    : | Handler<RequestOf<S['methods'][M]>, ResponseOf<S['methods'][M]>>
      // eslint-disable-next-line @typescript-eslint/no-explicit-any -- each handler has a response type of its own
      | Encoded<RequestOf<S['methods'][M]>, any>;
};

/** A service with just the given methods. */
export function implement<S extends GeneratedService>(service: S, handlers: Handlers<S>): Service {
  const methods: Record<string, ServedMethod> = {};
  for (const [key, handler] of Object.entries(handlers) as [
    string,
    Handler<unknown, unknown> | StreamHandler<unknown, unknown> | Encoded<unknown, unknown>,
  ][]) {
    const method = service.methods[key];
    if (!method || !handler) continue;
    const { handle, codec } =
      typeof handler === 'function' ? { handle: handler, codec: method.responseType as Codec<unknown> } : handler;
    methods[key] = {
      path: pathOf(service, method),
      responseStream: method.responseStream,
      decode: (message) => method.requestType.decode(message),
      encode: (response) => (response instanceof Uint8Array ? response : codec.encode(response).finish()),
      handle: method.responseStream
        ? async function* (request, caller) {
            yield* (handle as StreamHandler<unknown, unknown>)(request, caller);
          }
        : async (request, caller) => handle(request, caller),
    };
  }
  return methods;
}

export const pathOf = ({ fullName }: GeneratedService, { name }: GeneratedMethod): string => `/${fullName}/${name}`;
