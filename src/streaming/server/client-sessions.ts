import { withResolvers, type Resolvers } from '../../base/async.js';
import { CriError } from '../../base/errors.js';
import type { Logger } from '../../base/log.js';
import { withLimit } from '../../base/time.js';
import type { FromWorker, Grant, TerminalSize, ToWorker } from '../shared/session-messages.js';
import type { CommandClient, CommandRequest, ForwardRequest } from '../streaming.js';

type Request = CommandRequest | ForwardRequest;
type SessionMessage = Exclude<FromWorker, { kind: 'listening' | 'redeem' | 'unhandled' }>;

/** The main thread's side of all sessions of one streaming thread. */
export interface ClientSessions {
  begin(session: number, request: Request): void;
  onMessage(message: SessionMessage): void;
  /** Ends all sessions, as if their clients had disconnected. */
  endAll(reason: string): void;
  /** Resolves when no operation serves a client any more, at the latest after `timeoutMs`. */
  settled(timeoutMs: number): Promise<void>;
}

export function createClientSessions(options: {
  readonly log: Logger;
  readonly post: (message: ToWorker) => void;
  /** Returns the idle timeout of a connection that begins now. */
  readonly idleTimeoutMs: () => number;
}): ClientSessions {
  const { log, post } = options;
  const open = new Map<number, { onMessage(message: SessionMessage): void }>();
  const served = new Set<Promise<void>>();

  const end = (message: Extract<SessionMessage, { kind: 'gone' }>): void => {
    open.get(message.session)?.onMessage(message);
    open.delete(message.session);
  };

  return {
    begin(session, request) {
      post({ kind: 'granted', session, grant: grantOf(request), idleTimeoutMs: options.idleTimeoutMs() });
      const begun = createClientSession(log, session, request, post);
      open.set(session, begun);
      const done = begun.done.finally(() => served.delete(done));
      served.add(done);
    },
    onMessage(message) {
      if (message.kind === 'gone') end(message);
      else open.get(message.session)?.onMessage(message);
    },
    endAll(reason) {
      for (const session of [...open.keys()]) end({ kind: 'gone', session, reason });
    },
    async settled(timeoutMs) {
      await withLimit(Promise.allSettled(served), timeoutMs, () => []);
    },
  };
}

const grantOf = (request: Request): Grant =>
  request.route === 'portforward'
    ? { kind: 'port-forward', ports: request.ports }
    : { kind: 'command', ...request.streams };

function createClientSession(log: Logger, session: number, request: Request, post: (message: ToWorker) => void) {
  const gone = new AbortController();
  const ready = optionalPromise();
  const opened = optionalPromise();
  const stdinEnded = optionalPromise();
  const outputsEnded = optionalPromise();
  let lastSize: TerminalSize | undefined;
  let onResize: ((size: TerminalSize) => void) | undefined;

  const client: CommandClient = {
    signal: gone.signal,
    read({ stdout, stderr }) {
      post({ kind: 'read', session, stdout, stderr });
      return opened.promise;
    },
    feed: (path) => post({ kind: 'feed', session, path }),
    onResize(listener) {
      onResize = listener;
      if (lastSize) listener(lastSize);
    },
    stdinEnded: stdinEnded.promise,
    outputsEnded: outputsEnded.promise,
    drain(idleMs) {
      post({ kind: 'drain', session, idleMs });
      return outputsEnded.promise;
    },
  };

  const onMessage = (message: SessionMessage): void => {
    switch (message.kind) {
      case 'ready':
        return ready.resolve();
      case 'opened':
        return opened.resolve();
      case 'open-failed':
        return opened.reject(new CriError('INTERNAL', `open stream: ${message.message}`));
      case 'resize':
        lastSize = message.size;
        return onResize?.(message.size);
      case 'stdin-ended':
        return stdinEnded.resolve();
      case 'outputs-ended':
        return outputsEnded.resolve();
      case 'gone': {
        const error = new CriError('CANCELLED', `the client has gone: ${message.reason}`);
        gone.abort(error);
        for (const waiting of [ready, opened, stdinEnded, outputsEnded]) waiting.reject(error);
      }
    }
  };

  const serve = async (): Promise<void> => {
    try {
      await ready.promise;
      const outcome =
        request.route === 'portforward'
          ? await request
              .serve({ signal: gone.signal, forward: (netnsPath) => post({ kind: 'forward', session, netnsPath }) })
              .then(() => ({ kind: 'exited', exitCode: 0 }) as const)
          : await request.serve(client);
      post({ kind: 'finish', session, outcome });
    } catch (thrown) {
      const { message } = CriError.from(thrown);
      log[gone.signal.aborted ? 'debug' : 'warn']({ session, route: request.route, err: message }, 'stream failed');
      post({ kind: 'finish', session, outcome: { kind: 'failed', message } });
    }
  };

  return { onMessage, done: serve() };
}

/** A promise that some sessions never await: its rejection is never unhandled. */
function optionalPromise(): Resolvers<void> {
  const resolvers = withResolvers();
  resolvers.promise.catch(() => undefined);
  return resolvers;
}
