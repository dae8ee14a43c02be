import type { IncomingHttpHeaders } from 'node:http2';
import { inBackground } from '../base/background.js';
import { CriError } from '../base/errors.js';
import { clearSocket, listenProtected, socketPath } from '../base/protected-socket.js';
import { startTimer, withLimit } from '../base/time.js';
import type { Caller } from '../operation/operation.js';
import type { Answer } from './answer.js';
import { timeoutOf } from './deadline.js';
import { beginRequest, type RequestOptions } from './middleware.js';
import { createRpcServer, type RpcServer } from './rpc-server.js';
import type { ServedMethod, Service } from './service.js';

export interface CriServer {
  readonly path: string;
  /**
   * Refuses new calls, waits for running ones, then ends the rest. Returns true if all calls finished in time. A later
   * call returns the promise of the first one.
   */
  stop(timeoutMs: number): Promise<boolean>;
}

/** Serves the given services on a unix socket of mode 0660. */
export async function serve({
  listen,
  socketGid,
  services,
  ...options
}: RequestOptions & {
  readonly listen: string;
  readonly socketGid: number;
  readonly services: readonly Service[];
}): Promise<CriServer> {
  const path = socketPath(listen);
  const methods = services.flatMap((service) => Object.values(service));
  const server = createRpcServer(
    new Map(
      methods.map((method) => [
        method.path,
        (message, headers, answer) =>
          inBackground(options.log, 'answering a call', serveCall(method, message, headers, answer, options)),
      ]),
    ),
  );
  await clearSocket(path);
  const removeSocket = await listenProtected(path, socketGid, (hidden) => server.listen(hidden));
  const stopOnce = async (timeoutMs: number): Promise<boolean> => {
    await removeSocket();
    return stop(server, timeoutMs);
  };
  let stopping: Promise<boolean> | undefined;
  return { path, stop: (timeoutMs) => (stopping ??= stopOnce(timeoutMs)) };
}

async function stop(server: RpcServer, timeoutMs: number): Promise<boolean> {
  const closed = server.close().then(() => true);
  const finished = await withLimit(closed, timeoutMs, () => false);
  if (!finished) server.destroy();
  return finished;
}

/** Serves one call. Never rejects. */
async function serveCall(
  method: ServedMethod,
  message: Buffer,
  headers: IncomingHttpHeaders,
  answer: Answer,
  options: RequestOptions,
): Promise<void> {
  let request: unknown;
  let timeoutMs: number | undefined;
  try {
    timeoutMs = timeoutOf(headers['grpc-timeout']);
    request = method.decode(message);
  } catch (thrown) {
    return answer.fail(new CriError('INTERNAL', `cannot read the request: ${CriError.from(thrown).message}`));
  }
  const running = beginRequest(options, method.path, request, (name) => headers[name]?.toString());
  const timer = timeoutMs === undefined ? undefined : startTimer(timeoutMs, () => answer.cutOff(tooLate()));
  const caller: Caller = {
    get signal() {
      return answer.signal;
    },
    deadlineMs: timeoutMs === undefined ? undefined : performance.now() + timeoutMs,
  };
  try {
    const response = method.responseStream
      ? await sendAll(method, request, caller, answer, running.within)
      : await running.within(() => method.handle(request, caller));
    if (method.responseStream) answer.end();
    else answer.finish(method.encode(response));
    running.answered(response);
  } catch (thrown) {
    answer.fail(running.failed(thrown));
  } finally {
    timer?.clear();
  }
}

/** A generator's body does not keep the context of the code that iterates it, so each step enters it. */
async function sendAll(
  method: ServedMethod,
  request: unknown,
  caller: Caller,
  answer: Answer,
  within: <T>(work: () => T) => T,
): Promise<undefined> {
  const messages = within(() => (method.handle(request, caller) as AsyncIterable<unknown>)[Symbol.asyncIterator]());
  try {
    for (;;) {
      const step: IteratorResult<unknown, unknown> = await within(() => messages.next());
      if (step.done || answer.isOver()) return;
      await answer.send(method.encode(step.value));
    }
  } finally {
    await within(() => messages.return?.());
  }
}

const tooLate = (): CriError => new CriError('DEADLINE_EXCEEDED', 'deadline exceeded');
