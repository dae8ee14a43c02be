import { createServer as createGrpcServer, type ServiceImplementation, type ServiceDefinition } from 'nice-grpc';
import type { Logger } from '../base/log.js';
import type { Tracer } from '../base/span.js';
import { withLimit } from '../base/time.js';
import type { CallsUnderWay } from './calls-under-way.js';
import { deadlineInterceptor, readFarDeadlines } from './deadline.js';
import { requestMiddleware, type AnsweredCall } from './middleware.js';
import type { Service } from './service.js';
import { clearSocket, listenProtected, socketPath } from '../base/protected-socket.js';

const MAX_MESSAGE_BYTES = 16 * 1024 * 1024;
const ASK_CLIENTS_MS = 20_000;
/**
 * A client that misses a ping may be slow, or crid was paused, so wait 10 min. A write to a dead client fails at once
 * anyway.
 */
const CLIENT_ANSWERS_WITHIN_MS = 10 * 60_000;

export interface CriServer {
  readonly path: string;
  /**
   * Refuses new calls, waits for running ones, then ends the rest. Returns true if all calls finished in time. A later
   * call returns the promise of the first one.
   */
  stop(timeoutMs: number): Promise<boolean>;
}

/** Serves the given services on a unix socket of mode 0660. */
export async function serve(options: {
  listen: string;
  socketGid: number;
  services: readonly Service[];
  log: Logger;
  tracer?: Tracer | undefined;
  onCall?: (call: AnsweredCall) => void;
  underWay?: CallsUnderWay;
}): Promise<CriServer> {
  const path = socketPath(options.listen);
  readFarDeadlines();
  const server = createGrpcServer({
    'grpc.max_receive_message_length': MAX_MESSAGE_BYTES,
    'grpc.max_send_message_length': MAX_MESSAGE_BYTES,
    // Node does not always notice that a killed client is gone.
    'grpc.keepalive_time_ms': ASK_CLIENTS_MS,
    'grpc.keepalive_timeout_ms': CLIENT_ANSWERS_WITHIN_MS,
    // crid does not read channelz statistics, and grpc-js would keep them for every call and message.
    'grpc.enable_channelz': 0,
    interceptors: [deadlineInterceptor],
  }).use(requestMiddleware(options));
  for (const { definition, implementation } of options.services) {
    server.add(definition, implementation as ServiceImplementation<ServiceDefinition>);
  }
  await clearSocket(path);
  const removeSocket = await listenProtected(path, options.socketGid, (hidden) => server.listen(`unix:${hidden}`));
  const stopOnce = async (timeoutMs: number): Promise<boolean> => {
    await removeSocket();
    return stop(server, timeoutMs);
  };
  let stopping: Promise<boolean> | undefined;
  return { path, stop: (timeoutMs) => (stopping ??= stopOnce(timeoutMs)) };
}

async function stop(server: { shutdown(): Promise<void>; forceShutdown(): void }, timeoutMs: number): Promise<boolean> {
  const shutdown = server.shutdown().then(() => true);
  const finished = await withLimit(shutdown, timeoutMs, () => false);
  if (!finished) server.forceShutdown();
  return finished;
}
