import { Request, Response } from '../../generated/ttrpc/request.js';
import { CriError } from '../base/errors.js';
import { withResolvers, type Resolvers } from '../base/async.js';
import { startTimer } from '../base/time.js';
import type { Trunk } from './trunk.js';
import { peerError } from './ttrpc-errors.js';
import { MAX_MESSAGE_BYTES, MessageType, type Message } from './ttrpc-message.js';
import type { Method } from './ttrpc-method.js';

export const MAX_CALLS_UNDER_WAY = 64;
/** The bytes that may wait for the peer when a call is made: two of the largest messages, and some. */
export const MAX_QUEUED_BYTES = 9 * 2 ** 20;
const MAX_STREAM = 2 ** 32 - 1;
/** The longest time in the int64 of `timeout_nano`, about 292 years. */
const MAX_TIMEOUT_MS = 9e12;

export interface TtrpcClient {
  /**
   * Calls a method of the peer. Throws a PeerError if the peer answers with an error; DEADLINE_EXCEEDED after
   * `timeoutMs`, never if that is Infinity; UNAVAILABLE if the connection is or gets closed, also because the response
   * is malformed; and RESOURCE_EXHAUSTED, before anything is sent, if the request is too long, too many bytes wait for
   * the peer, or too many calls are under way.
   */
  call<I, O>(method: Method<I, O>, request: I, options: { readonly timeoutMs: number }): Promise<O>;
}

/**
 * Calls the services that the peer serves on `connection`. Faults of the peer close the trunk. `firstStream` is the id
 * of the first call's stream.
 */
export function createTtrpcClient(trunk: Trunk, connection: number, { firstStream = 1 } = {}): TtrpcClient {
  const waiting = new Map<number, Resolvers<Buffer>>();
  let next = firstStream;
  const channel = trunk.open(connection, (message) => {
    const { stream } = message;
    // The response to a call that has timed out.
    if (!waiting.has(stream) && stream % 2 === 1 && stream < next) return;
    const call = waiting.get(stream);
    if (message.type === MessageType.RESPONSE && call) call.resolve(message.data);
    else trunk.close(new CriError('UNAVAILABLE', `the peer broke the protocol: ${describe(message)}`));
  });
  trunk.onClose((reason) => {
    for (const { reject } of waiting.values()) reject(reason);
  });

  return {
    async call(method, request, { timeoutMs }) {
      if (waiting.size >= MAX_CALLS_UNDER_WAY)
        throw new CriError('RESOURCE_EXHAUSTED', `${waiting.size} calls are under way`);
      const data = encodeRequest(method, request, timeoutMs);
      const stream = next;
      if (stream > MAX_STREAM) trunk.close(new CriError('UNAVAILABLE', 'all stream ids are used up'));
      next += 2;
      const { promise, resolve, reject } = withResolvers<Buffer>();
      waiting.set(stream, { promise, resolve, reject });
      const timer = startTimer(timeoutMs, () =>
        reject(new CriError('DEADLINE_EXCEEDED', `no response within ${timeoutMs / 1000} s`)),
      );
      try {
        const message = { stream, type: MessageType.REQUEST, flags: 0, data };
        channel.send(message, MAX_QUEUED_BYTES).catch((thrown: unknown) => reject(thrown));
        return decodeResponse(trunk, method, await promise);
      } finally {
        timer.clear();
        waiting.delete(stream);
      }
    },
  };
}

function encodeRequest<I>(method: Omit<Method<I, unknown>, 'responseType'>, request: I, timeoutMs: number): Buffer {
  const data = Request.encode({
    service: method.service,
    method: method.name,
    payload: Buffer.from(method.requestType.encode(request).finish()),
    timeout_nano: nanoseconds(timeoutMs),
    metadata: [],
  }).finish();
  if (data.length > MAX_MESSAGE_BYTES)
    throw new CriError('RESOURCE_EXHAUSTED', `a request of ${data.length} bytes, the maximum is ${MAX_MESSAGE_BYTES}`);
  return Buffer.from(data.buffer, data.byteOffset, data.length);
}

/** Returns 0, which means no limit, for a time that the field cannot hold. */
const nanoseconds = (ms: number): bigint => (ms > MAX_TIMEOUT_MS ? 0n : BigInt(Math.max(1, Math.round(ms * 1e6))));

function decodeResponse<O>(trunk: Trunk, method: Pick<Method<unknown, O>, 'name' | 'responseType'>, data: Buffer): O {
  let response: Response;
  let payload: O | undefined;
  try {
    response = Response.decode(data);
    payload = method.responseType.decode(response.payload);
  } catch (thrown) {
    const malformed = `the response to ${method.name} is malformed: ${CriError.from(thrown).message}`;
    const error = new CriError('UNAVAILABLE', `the peer broke the protocol: ${malformed}`);
    trunk.close(error);
    throw error;
  }
  if (response.status && response.status.code !== 0) throw peerError(response.status);
  return payload;
}

const describe = ({ type, stream }: Message): string =>
  type === MessageType.RESPONSE
    ? `a response on stream ${stream}, which no call has used`
    : `a message of type ${type} on stream ${stream} instead of a response`;
