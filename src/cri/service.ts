import type { ServiceDefinition, CallContext } from 'nice-grpc';
import type { Caller } from '../operation/operation.js';
import { deadlineOf } from './deadline.js';

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

/** A service in the form that nice-grpc takes. */
export interface Service {
  readonly definition: Record<string, ServiceDefinition[string]>;
  readonly implementation: Record<string, Implementation>;
}

type Implementation = (request: unknown, context: CallContext) => Promise<unknown> | AsyncIterable<unknown>;

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

/**
 * A service with just the given methods. Responses are complete messages, so nice-grpc's pass over every field
 * (`fromPartial`) is skipped: it costs some 10 ms for a list of 2,000.
 */
export function implement<S extends GeneratedService>(service: S, handlers: Handlers<S>): Service {
  const definition: Service['definition'] = {};
  const implementation: Service['implementation'] = {};
  for (const [key, handler] of Object.entries(handlers) as [
    string,
    Handler<unknown, unknown> | StreamHandler<unknown, unknown> | Encoded<unknown, unknown>,
  ][]) {
    const method = service.methods[key];
    if (!method || !handler) continue;
    const { handle, codec } =
      typeof handler === 'function' ? { handle: handler, codec: method.responseType as Codec<unknown> } : handler;
    definition[key] = {
      ...definitionOf(service, method),
      responseSerialize: (message: unknown) =>
        message instanceof Uint8Array ? message : codec.encode(message).finish(),
    };
    implementation[key] = method.responseStream
      ? async function* (request, context) {
          yield* (handle as StreamHandler<unknown, unknown>)(request, callerOf(context));
        }
      : async (request, context) => handle(request, callerOf(context));
  }
  return { definition, implementation };
}

/** A method in the form that nice-grpc takes, with the codecs of the generated code. */
export const definitionOf = ({ fullName }: GeneratedService, method: GeneratedMethod): ServiceDefinition[string] => ({
  path: `/${fullName}/${method.name}`,
  requestStream: method.requestStream,
  responseStream: method.responseStream,
  requestDeserialize: (bytes) => method.requestType.decode(bytes),
  requestSerialize: (message: never) => method.requestType.encode(message).finish(),
  responseDeserialize: (bytes) => method.responseType.decode(bytes),
  responseSerialize: (message: never) => method.responseType.encode(message).finish(),
  options: method.options,
});

export const callerOf = ({ signal, metadata }: CallContext): Caller => ({ signal, deadlineMs: deadlineOf(metadata) });
