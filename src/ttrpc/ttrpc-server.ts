import { setMaxListeners } from 'node:events';
import { Request, Response } from '../../generated/ttrpc/request.js';
import { withAnySignal } from '../base/async.js';
import { CriError } from '../base/errors.js';
import { timeoutSignal, unlessAborted } from '../base/time.js';
import type { Trunk } from './trunk.js';
import { statusOf } from './ttrpc-errors.js';
import { MAX_MESSAGE_BYTES, MessageType, type Message } from './ttrpc-message.js';
import type { RequestOf, ResponseOf, Service } from './ttrpc-method.js';

/** Calls whose handler has not ended, or whose response the kernel does not have yet. Further calls are refused. */
export const MAX_CALLS_SERVED = 64;
/** The bytes of their requests. */
export const MAX_BYTES_SERVED = 8 * 2 ** 20;
/** Refusals that may wait for a peer that makes calls and does not read the responses. */
export const MAX_REFUSALS = 1024;
/** The limit of a call whose caller gives none, and of one that gives a longer one. */
const MAX_CALL_MS = 120_000;

/** The implementation of each method. `signal` aborts at the caller's deadline, and when the connection closes. */
export type Handlers<S extends Service> = {
  readonly [M in keyof S['methods'] & string]: (
    request: RequestOf<S, M>,
    signal: AbortSignal,
  ) => Promise<ResponseOf<S, M>>;
};

/**
 * Serves the unary methods of one service on `connection`. A malformed request is answered with INVALID_ARGUMENT, an
 * unknown method or a stream with UNIMPLEMENTED, and a call beyond the limits with RESOURCE_EXHAUSTED.
 */
export function serveTtrpc<S extends Service>(
  trunk: Trunk,
  connection: number,
  service: S,
  handlers: Handlers<S>,
): void {
  const load = createLoad();
  const closed = new AbortController();
  setMaxListeners(0, closed.signal);
  let last = 0;
  let refusals = 0;
  const respond = async (stream: number, data: Buffer): Promise<void> => {
    // The caller of a trunk that has closed gets no response.
    if (!trunk.closed) await channel.send({ stream, type: MessageType.RESPONSE, flags: 0, data });
  };
  const refuse = async (stream: number, problem: CriError): Promise<void> => {
    if (++refusals > MAX_REFUSALS)
      trunk.close(new CriError('UNAVAILABLE', `the peer does not read: ${MAX_REFUSALS} refusals of its calls wait`));
    await respond(stream, failure(problem));
    refusals--;
  };
  const serve = async (message: Message): Promise<void> => {
    const done = load.begin(message.data.length);
    if (!done) return refuse(message.stream, new CriError('RESOURCE_EXHAUSTED', 'too many calls are being served'));
    const { response, handled } = await answer(service, handlers, message, closed.signal);
    await Promise.all([respond(message.stream, response), handled]);
    done();
  };
  const channel = trunk.open(connection, (message) => {
    const { stream, type } = message;
    // Types of a later version of the protocol.
    if (type !== MessageType.REQUEST && type !== MessageType.DATA) return;
    const problem = streamProblem(message, last);
    if (type === MessageType.REQUEST && stream % 2 === 1) last = Math.max(last, stream);
    const answering = problem ? refuse(stream, problem) : serve(message);
    answering.catch((thrown: unknown) => trunk.close(CriError.from(thrown)));
  });
  trunk.onClose((reason) => closed.abort(reason));
}

function streamProblem({ stream, type, flags }: Message, last: number): CriError | undefined {
  if (stream % 2 !== 1) return new CriError('INVALID_ARGUMENT', `stream ${stream}: a client's stream id must be odd`);
  if (type === MessageType.DATA) return new CriError('INVALID_ARGUMENT', `stream ${stream}: is not open`);
  if (stream <= last) return new CriError('INVALID_ARGUMENT', `stream ${stream}: stream ids must increase`);
  return flags === 0 ? undefined : new CriError('UNIMPLEMENTED', `stream ${stream}: only unary calls are served`);
}

interface Answer {
  readonly response: Buffer;
  /** Resolves when the handler has ended, which may be after the response. */
  readonly handled: Promise<unknown>;
}

async function answer<S extends Service>(
  service: S,
  handlers: Handlers<S>,
  { data }: Message,
  closed: AbortSignal,
): Promise<Answer> {
  let limit: ReturnType<typeof timeoutSignal> | undefined;
  let handled: Promise<unknown> = Promise.resolve();
  try {
    const request = decoded('the request', () => Request.decode(data));
    const [key, method] = find(service, request);
    const payload: unknown = decoded(`the request of ${request.method}`, (): unknown =>
      method.requestType.decode(request.payload),
    );
    const handle = handlers[key] as (payload: unknown, signal: AbortSignal) => Promise<unknown>;
    limit = timeoutSignal(limitMs(request));
    const result = await withAnySignal([closed, limit.signal], (signal) => {
      const handling = handle(payload, signal);
      handled = handling.catch(() => undefined);
      return unlessAborted(handling, signal);
    });
    const payloadBytes = Buffer.from(method.responseType.encode(result).finish());
    return { response: encode({ status: undefined, payload: payloadBytes }), handled };
  } catch (thrown) {
    return { response: failure(thrown), handled };
  } finally {
    limit?.clear();
  }
}

/** Throws DEADLINE_EXCEEDED if the caller's deadline has passed: Go's client sends what is left of it. */
function limitMs({ timeout_nano: nano }: Request): number {
  if (nano < 0n) throw new CriError('DEADLINE_EXCEEDED', 'the deadline had passed when the call was made');
  return nano === 0n ? MAX_CALL_MS : Math.min(Number(nano) / 1e6, MAX_CALL_MS);
}

const failure = (thrown: unknown): Buffer => encode({ status: statusOf(thrown), payload: Buffer.alloc(0) });

function encode(response: Response): Buffer {
  const data = Response.encode(response).finish();
  if (data.length <= MAX_MESSAGE_BYTES) return Buffer.from(data.buffer, data.byteOffset, data.length);
  return failure(new CriError('RESOURCE_EXHAUSTED', `the response of ${data.length} bytes is too long`));
}

function find<S extends Service>(service: S, { service: name, method }: Request) {
  const found = Object.entries(service.methods).find((entry) => entry[1].name === method);
  if (name !== service.fullName || !found)
    throw new CriError('UNIMPLEMENTED', `${name.slice(0, 128)}/${method.slice(0, 128)} is not served`);
  return found as [keyof S['methods'] & string, (typeof found)[1]];
}

function decoded<T>(what: string, decode: () => T): T {
  try {
    return decode();
  } catch (thrown) {
    throw new CriError('INVALID_ARGUMENT', `${what} is malformed: ${CriError.from(thrown).message}`);
  }
}

/** Counts the calls that are being served. */
function createLoad() {
  let calls = 0;
  let bytes = 0;
  return {
    /** Returns the function that ends a call with a request of `size` bytes; undefined if there is no room for it. */
    begin(size: number): (() => void) | undefined {
      if (calls >= MAX_CALLS_SERVED || bytes + size > MAX_BYTES_SERVED) return undefined;
      calls++;
      bytes += size;
      return () => {
        calls--;
        bytes -= size;
      };
    },
  };
}
