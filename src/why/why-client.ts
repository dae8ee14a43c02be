import { createChannel, createClientFactory } from 'nice-grpc';
import { RuntimeServiceDefinition, type RuntimeServiceClient } from '../../generated/runtime/v1/api.js';
import { CriError } from '../base/errors.js';
import { withoutScheme } from '../base/unix-socket.js';

const MAX_MESSAGE_BYTES = 16 * 1024 * 1024;

/**
 * Runs `work` with a client of the CRI server on a unix socket. UNAVAILABLE with the socket's path when no server
 * responds.
 */
export async function withRuntime<T>(listen: string, work: (runtime: RuntimeServiceClient) => Promise<T>): Promise<T> {
  const path = withoutScheme(listen);
  const channel = createChannel(`unix://${path}`, undefined, {
    'grpc.max_receive_message_length': MAX_MESSAGE_BYTES,
  });
  try {
    return await work(createClientFactory().create(RuntimeServiceDefinition, channel));
  } catch (thrown) {
    if (thrown instanceof CriError) throw thrown;
    throw new CriError('UNAVAILABLE', `${path}: ${CriError.from(thrown).message}`, { cause: thrown });
  } finally {
    channel.close();
  }
}
