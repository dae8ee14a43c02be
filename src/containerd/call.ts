import type { ClientHttp2Session, OutgoingHttpHeaders } from 'node:http2';
import { currentContext } from '../base/context.js';
import type { CriError } from '../base/errors.js';
import { logOf, type Logger } from '../base/log.js';
import type { Span } from '../base/span.js';
import { startTimer } from '../base/time.js';
import { beginWait } from '../base/waits.js';
import { VERSION } from '../version.js';
import type { Channel } from './channel.js';
import type { CallOptions } from './containerd.js';
import { subjectOf } from './method-names.js';
import type { Method } from './method.js';
import { startStreaming, startUnary } from './rpc.js';
import { isCutOff, isNeverSent, translateError, type Ended } from './translate-error.js';

/** The options that the adapters pass with a call, besides its request. */
export interface CallExtras {
  readonly call?: CallOptions | undefined;
  /** The subject for messages when the request itself does not have one. */
  readonly subject?: string | undefined;
}

export interface CallSettings {
  readonly channel: Channel;
  readonly namespace: string;
  readonly log: Logger;
  readonly defaultTimeoutMs: number;
  readonly connectTimeoutMs: number;
  /** Ends running and later calls when the client closes. */
  readonly endings: Endings;
  /** Names the shim of a task or a sandbox and its state: `shim 42 (stopped)`. */
  readonly describeShim: ((id: string) => string) | undefined;
  readonly onCall: ((call: { method: string; code: string; durationMs: number }) => void) | undefined;
}

/** The running calls, so that closing can end them. */
export interface Endings {
  readonly closed: boolean;
  add(end: () => void): () => void;
}

/** How often a call without a connection is sent; each attempt first waits for the channel. */
const NEVER_SENT_ATTEMPTS = 5;
const READ_ATTEMPTS = 2;

export interface Calls {
  unary(method: Method, request: unknown, extras: CallExtras): Promise<unknown>;
  /** `request`: a message, or an iterable of messages for a method whose requests are a stream. */
  streaming(method: Method, request: unknown, extras: CallExtras): AsyncGenerator<unknown, void, void>;
}

/**
 * Every call to containerd: waits for the connection, sets the headers, applies the timeout, retries calls that can be
 * retried, translates errors, and logs one line.
 */
export function createCalls(settings: CallSettings): Calls {
  return {
    async unary(method, request, extras) {
      const running = beginCall(settings, method, request, extras);
      try {
        const message = method.encode(request);
        for (let attempt = 1; ; attempt++) {
          try {
            const sent = startUnary(await running.connected(), running.headers, message);
            running.onEnd(sent.cancel);
            return method.decode(await sent.response);
          } catch (thrown) {
            if (!mayTryAgain(thrown, method, attempt) || running.hasEnded()) throw thrown;
          }
        }
      } catch (thrown) {
        throw running.failed(thrown);
      } finally {
        running.end();
      }
    },
    async *streaming(method, request, extras) {
      const running = beginCall(settings, method, request, extras);
      try {
        for (let attempt = 1; ; attempt++) {
          let isFirst = true;
          try {
            const outgoing = method.hasRequestStream ? encoded(method, request) : method.encode(request);
            const sent = startStreaming(await running.connected(), running.headers, outgoing);
            running.onEnd(sent.cancel);
            for await (const message of sent.messages) {
              isFirst = false;
              yield method.decode(message);
            }
            return;
          } catch (thrown) {
            const again = isFirst && !method.hasRequestStream && mayTryAgain(thrown, method, attempt);
            if (!again || running.hasEnded()) throw thrown;
          }
        }
      } catch (thrown) {
        throw running.failed(thrown);
      } finally {
        running.end();
      }
    },
  };
}

async function* encoded(method: Method, requests: unknown): AsyncGenerator<Uint8Array, void, void> {
  for await (const request of requests as AsyncIterable<unknown>) yield method.encode(request);
}

const mayTryAgain = (thrown: unknown, { isRead }: Method, attempt: number): boolean =>
  (isNeverSent(thrown) && attempt < NEVER_SENT_ATTEMPTS) || (isCutOff(thrown) && isRead && attempt < READ_ATTEMPTS);

/** A call with its span, its wait and its limits, all of which `end` ends. */
function beginCall(settings: CallSettings, method: Method, request: unknown, extras: CallExtras) {
  const startedMs = performance.now();
  const { channel, log } = settings;
  const { name } = method;
  const subject = extras.subject ?? (method.hasRequestStream ? '' : subjectOf(request));
  const timeoutMs = extras.call?.timeoutMs ?? settings.defaultTimeoutMs;
  const span = method.isWait
    ? undefined
    : currentContext()?.span?.child(`containerd ${name}`, 'client', subject === '' ? {} : { subject });
  const answering = (): string => answeringProcess(method, subject, settings);
  const limits = startLimits(timeoutMs, extras.call?.signal, settings.endings);
  const endWait = beginWait(() => `${answering()} to answer ${name}`);
  let failure: CriError | undefined;
  return {
    headers: headersOf(method.path, settings.namespace, extras.call?.lease, span),
    hasEnded: () => limits.ended() !== undefined,
    onEnd: limits.onEnd,
    async connected(): Promise<ClientHttp2Session> {
      const connectMs = timeoutMs > 0 ? Math.min(timeoutMs, settings.connectTimeoutMs) : settings.connectTimeoutMs;
      if (channel.session && limits.ended() === undefined) return channel.session;
      const stop = new AbortController();
      limits.onEnd(() => stop.abort());
      return channel.connected(connectMs, stop.signal);
    },
    failed: (thrown: unknown): CriError =>
      (failure = translateError(thrown, { method: name, subject, ended: limits.ended(), timeoutMs, answering })),
    end(): void {
      endWait();
      limits.release();
      // The text of a pull's error may contain credentials until the caller redacts it, as the step's span has it.
      span?.end(failure && method.isLasting ? { code: failure.code, message: '' } : failure);
      const code = failure?.code ?? 'OK';
      const durationMs = Math.round((performance.now() - startedMs) * 100) / 100;
      if (log.isLevelEnabled('debug')) logOf(log).debug({ method: name, subject, code, durationMs }, 'containerd call');
      settings.onCall?.({ method: name, code, durationMs });
    },
  };
}

/** Names the process that a call waits for. containerd forwards calls on tasks and sandboxes to the shim. */
function answeringProcess({ asksShim }: Method, subject: string, { describeShim }: CallSettings): string {
  const [id = ''] = subject.split('/');
  if (id === '' || !asksShim) return 'containerd';
  const shim = describeShim?.(id) ?? 'containerd';
  return shim === NO_SHIM ? `containerd, without a shim so far,` : shim;
}

/** As `describeShim` says it, for instance while containerd starts the shim of a pod's first container. */
const NO_SHIM = 'no shim';

function headersOf(
  path: string,
  namespace: string,
  lease: string | undefined,
  span: Span | undefined,
): OutgoingHttpHeaders {
  return {
    ':method': 'POST',
    ':path': path,
    'content-type': 'application/grpc',
    te: 'trailers',
    'user-agent': `crid/${VERSION}`,
    'containerd-namespace': namespace,
    ...(lease !== undefined && lease !== '' && { 'containerd-lease': lease }),
    ...span?.headers(),
  };
}

/** Combines timeout, caller and close, and records the first of them that ends the call. */
function startLimits(timeoutMs: number, signal: AbortSignal | undefined, endings: Endings) {
  let why: Ended | undefined;
  let stop = (): void => undefined;
  const end = (reason: Ended) => (): void => {
    if (why !== undefined) return;
    why = reason;
    stop();
  };
  const onAbort = end('cancelled');
  const timer = timeoutMs > 0 ? startTimer(timeoutMs, end('deadline')) : undefined;
  const forget = endings.add(end('closed'));
  signal?.addEventListener('abort', onAbort, { once: true });
  if (endings.closed) end('closed')();
  else if (signal?.aborted === true) onAbort();
  return {
    ended: () => why,
    /** Sets what stops the call when it is ended; calls it at once if it has ended already. */
    onEnd(next: () => void): void {
      stop = next;
      if (why !== undefined) next();
    },
    release: (): void => {
      timer?.clear();
      forget();
      signal?.removeEventListener('abort', onAbort);
    },
  };
}
