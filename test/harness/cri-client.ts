import type { Channel } from '@grpc/grpc-js';
import { createChannel, createClientFactory, type ClientMiddleware } from 'nice-grpc';
import {
  ImageServiceDefinition,
  RuntimeServiceDefinition,
  type ImageServiceClient,
  type RuntimeServiceClient,
} from '../../generated/runtime/v1/api.js';

/** The client side of a CRI server, like a kubelet's. */
export interface CriClient {
  readonly socket: string;
  readonly runtime: RuntimeServiceClient;
  readonly images: ImageServiceClient;
  close(): void;
}

const CALL_LIMIT_MS = 180_000;
const MAX_MESSAGE_BYTES = 16 * 1024 * 1024;

/** Connects at the first call. A call without its own signal is cancelled after 3 min; streams are not. */
export function criClient(socket: string, middleware?: ClientMiddleware): CriClient {
  const channel = openChannel(socket);
  const clients = createClientFactory().use(limited);
  const used = middleware ? clients.use(middleware) : clients;
  return {
    socket,
    runtime: used.create(RuntimeServiceDefinition, channel),
    images: used.create(ImageServiceDefinition, channel),
    close: () => channel.close(),
  };
}

/** A channel that reconnects soon after its server restarts. */
export const openChannel = (socket: string): Channel =>
  createChannel(`unix://${socket}`, undefined, {
    'grpc.max_receive_message_length': MAX_MESSAGE_BYTES,
    'grpc.max_send_message_length': MAX_MESSAGE_BYTES,
    'grpc.initial_reconnect_backoff_ms': 50,
    'grpc.max_reconnect_backoff_ms': 200,
    'grpc.use_local_subchannel_pool': 1,
  });

/** Sets a time limit on every unary call without a signal. */
export const limited: ClientMiddleware = async function* (call, options) {
  const bounded = options.signal || call.method.responseStream;
  return yield* call.next(call.request, bounded ? options : { ...options, signal: AbortSignal.timeout(CALL_LIMIT_MS) });
};
