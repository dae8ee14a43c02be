import { connect } from 'node:net';
import { connectivityState, type Channel } from '@grpc/grpc-js';
import { createChannel } from 'nice-grpc';
import { CriError } from '../base/errors.js';
import { unlessAborted, wallMs } from '../base/time.js';
import { withoutScheme } from '../base/unix-socket.js';

/** containerd refuses larger messages in both directions. */
const MAX_MESSAGE_BYTES = 16 * 1024 * 1024;
const PROBE_TIMEOUT_MS = 1000;

/** Opens the channel to containerd. It connects on first use and reconnects when the connection is lost. */
export function openChannel(address: string): Channel {
  return createChannel(`unix://${withoutScheme(address)}`, undefined, {
    'grpc.max_receive_message_length': MAX_MESSAGE_BYTES,
    'grpc.max_send_message_length': MAX_MESSAGE_BYTES,
    // The defaults (1 s growing to 2 min) would delay reconnecting by seconds once containerd is back.
    'grpc.initial_reconnect_backoff_ms': 100,
    'grpc.max_reconnect_backoff_ms': 500,
    'grpc.use_local_subchannel_pool': 1,
    // crid does not read these statistics, which are kept for every call and message.
    'grpc.enable_channelz': 0,
  });
}

/**
 * Waits until the channel is connected, at most `timeoutMs`. UNAVAILABLE with the socket's own error (ENOENT,
 * ECONNREFUSED, …) if it is not connected by then. `signal` ends the wait early.
 */
export async function waitReady(
  channel: Channel,
  address: string,
  timeoutMs: number,
  signal: AbortSignal,
): Promise<void> {
  signal.throwIfAborted();
  if (channel.getConnectivityState(true) === connectivityState.READY) return;
  try {
    await unlessAborted(connected(channel, new Date(wallMs() + timeoutMs), signal), signal);
  } catch (thrown) {
    if (signal.aborted) throw thrown;
    throw new CriError('UNAVAILABLE', `containerd at ${address} is not reachable: ${await probe(address)}`);
  }
}

async function connected(channel: Channel, deadline: Date, signal: AbortSignal): Promise<void> {
  // getConnectivityState(true) reopens a closed channel, so check the signal first.
  while (!signal.aborted) {
    const state = channel.getConnectivityState(true);
    if (state === connectivityState.READY) return;
    await new Promise<void>((resolve, reject) => {
      channel.watchConnectivityState(state, deadline, (error) => (error ? reject(error) : resolve()));
    });
  }
}

/** grpc-js does not expose the reason, so connect to the socket once more to find it. */
function probe(address: string): Promise<string> {
  return new Promise((resolve) => {
    const socket = connect(withoutScheme(address));
    const answer = (reason: string): void => {
      socket.destroy();
      resolve(reason);
    };
    socket.setTimeout(PROBE_TIMEOUT_MS, () => answer('no connection within the time allowed'));
    socket.once('connect', () => answer('the socket accepts connections but speaks no gRPC yet'));
    socket.once('error', (error) => answer(error.message));
  });
}
