import { createChannel, createClientFactory } from 'nice-grpc';
import { TracesDefinition, type TracesClient } from '../../generated/crid/v1/traces.js';
import { RuntimeServiceDefinition, type RuntimeServiceClient } from '../../generated/runtime/v1/api.js';
import { CriError } from '../base/errors.js';
import { withoutScheme } from '../base/unix-socket.js';

const MAX_MESSAGE_BYTES = 16 * 1024 * 1024;

/** The services of a CRI server that crid's commands call. */
export interface CriClient {
  readonly runtime: RuntimeServiceClient;
  /** Only crid has this service. */
  readonly traces: TracesClient;
}

/**
 * Runs `work` with a client of the CRI server on a unix socket. UNAVAILABLE with the socket's path when no server
 * responds.
 */
export async function withCriClient<T>(listen: string, work: (client: CriClient) => Promise<T>): Promise<T> {
  const path = withoutScheme(listen);
  const channel = createChannel(`unix://${path}`, undefined, {
    'grpc.max_receive_message_length': MAX_MESSAGE_BYTES,
  });
  const factory = createClientFactory();
  try {
    return await work({
      runtime: factory.create(RuntimeServiceDefinition, channel),
      traces: factory.create(TracesDefinition, channel),
    });
  } catch (thrown) {
    if (thrown instanceof CriError) throw thrown;
    throw new CriError('UNAVAILABLE', `${path}: ${CriError.from(thrown).message}`, { cause: thrown });
  } finally {
    channel.close();
  }
}
