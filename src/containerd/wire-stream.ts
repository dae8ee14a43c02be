import { StreamInit, type StreamingDefinition } from '../../generated/containerd/services/streaming/v1/streaming.js';
import type { Any as WireAny } from '../../generated/google/protobuf/any.js';
import { CriError } from '../base/errors.js';
import { anyOf, wireAny } from './any.js';
import { withoutLimit, type ServiceClient } from './connection.js';
import type { Any } from './containerd.js';

/** A stream that another call refers to by its id (containerd.services.streaming.v1). */
export interface WireStream {
  send(any: Any): void;
  /** Ends when containerd closes the stream. It can be iterated only once. */
  readonly messages: AsyncIterable<WireAny>;
  close(): void;
}

const OPEN_TIMEOUT_MS = 10_000;

/** Opens a stream under `id`, which is registered with containerd when this resolves. `signal` closes it. */
export async function openStream(
  client: ServiceClient<StreamingDefinition>,
  id: string,
  lease: string,
  signal: AbortSignal | undefined,
): Promise<WireStream> {
  const ending = new AbortController();
  // Half-closing would leave the stream registered, so the call itself is cancelled.
  const close = (): void => {
    clearTimeout(timer);
    signal?.removeEventListener('abort', close);
    ending.abort();
  };
  const timer = setTimeout(close, OPEN_TIMEOUT_MS);
  if (signal?.aborted === true) close();
  else signal?.addEventListener('abort', close, { once: true });

  const outgoing = createOutgoing(ending.signal);
  outgoing.send(anyOf('containerd.services.streaming.v1.StreamInit', StreamInit.encode({ id }).finish()));
  const options = { ...withoutLimit({ signal: ending.signal, lease }), subject: id };
  const incoming = client.stream(outgoing.messages, options)[Symbol.asyncIterator]();
  try {
    // The empty first message is the acknowledgement.
    if ((await incoming.next()).done === true) {
      throw new CriError('UNAVAILABLE', `transfer.stream: "${id}" was closed before it was acknowledged`);
    }
  } catch (thrown) {
    close();
    throw thrown;
  }
  clearTimeout(timer);
  return { send: outgoing.send, messages: { [Symbol.asyncIterator]: () => incoming }, close };
}

/** The request side. It stays open until `signal` aborts, since containerd drops the stream when this side ends. */
function createOutgoing(signal: AbortSignal) {
  const waiting: WireAny[] = [];
  let wake = (): void => undefined;
  signal.addEventListener('abort', () => wake(), { once: true });
  async function* messages(): AsyncGenerator<WireAny> {
    while (!signal.aborted) {
      const next = waiting.shift();
      if (next !== undefined) yield next;
      else await new Promise<void>((resolve) => (wake = resolve));
    }
  }
  return {
    messages: messages(),
    send: (any: Any): void => {
      waiting.push(wireAny(any));
      wake();
    },
  };
}
