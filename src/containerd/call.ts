import type { Channel } from '@grpc/grpc-js';
import { Metadata, type CallOptions as GrpcOptions, type ClientMiddlewareCall } from 'nice-grpc';
import { currentContext } from '../base/context.js';
import type { CriError } from '../base/errors.js';
import { logOf, type Logger } from '../base/log.js';
import { startTimer } from '../base/time.js';
import { beginWait } from '../base/waits.js';
import type { Span } from '../base/span.js';
import { waitReady } from './channel.js';
import type { CallOptions } from './containerd.js';
import { isCutOff, isNeverSent, translateError, type Ended } from './translate-error.js';
import { isLasting, isRead, isWait, methodName, subjectOf } from './method-names.js';

/** The options that the adapters pass with a call, besides its request. */
export interface CallExtras {
  readonly call?: CallOptions | undefined;
  /** The subject for messages when the request itself does not have one. */
  readonly subject?: string | undefined;
}

export interface CallSettings {
  readonly channel: Channel;
  readonly address: string;
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

/**
 * The middleware of every call: waits for the connection, sets the headers, applies the timeout, retries calls that can
 * be retried, translates errors, and logs one line.
 */
export function callMiddleware(settings: CallSettings) {
  return async function* middleware<Request, Response>(
    call: ClientMiddlewareCall<Request, Response>,
    options: GrpcOptions & CallExtras,
  ): AsyncGenerator<Response, Response | void, undefined> {
    const startedMs = performance.now();
    const method = methodName(call.method.path);
    const subject = options.subject ?? (call.requestStream ? '' : subjectOf(call.request));
    const timeoutMs = options.call?.timeoutMs ?? settings.defaultTimeoutMs;
    const span = isWait(method)
      ? undefined
      : currentContext()?.span?.child(`containerd ${method}`, 'client', subject === '' ? {} : { subject });
    const answering = (): string => answeringProcess(method, subject, settings);
    const limits = startLimits(timeoutMs, options.call?.signal, settings.endings);
    const endWait = beginWait(() => `${answering()} to answer ${method}`);
    let failure: CriError | undefined;
    try {
      return yield* attempts(call, method, settings, {
        metadata: headers(settings.namespace, options.call?.lease, span),
        signal: limits.signal,
        connectTimeoutMs: timeoutMs > 0 ? Math.min(timeoutMs, settings.connectTimeoutMs) : settings.connectTimeoutMs,
      });
    } catch (thrown) {
      failure = translateError(thrown, { method, subject, ended: limits.ended(), timeoutMs, answering });
      throw failure;
    } finally {
      endWait();
      limits.release();
      // The text of a pull's error may contain credentials until the caller redacts it, as the step's span has it.
      span?.end(failure && isLasting(method) ? { code: failure.code, message: '' } : failure);
      const code = failure?.code ?? 'OK';
      const durationMs = Math.round((performance.now() - startedMs) * 100) / 100;
      logOf(settings.log).debug({ method, subject, code, durationMs }, 'containerd call');
      settings.onCall?.({ method, code, durationMs });
    }
  };
}

/** Names the process that a call waits for. containerd forwards calls on tasks and sandboxes to the shim. */
function answeringProcess(method: string, subject: string, { describeShim }: CallSettings): string {
  const [id = ''] = subject.split('/');
  if (id === '' || !/^(tasks|controller)\./.test(method)) return 'containerd';
  const shim = describeShim?.(id) ?? 'containerd';
  return shim === NO_SHIM ? `containerd, without a shim so far,` : shim;
}

/** As `describeShim` says it, for instance while containerd starts the shim of a pod's first container. */
const NO_SHIM = 'no shim';

async function* attempts<Request, Response>(
  call: ClientMiddlewareCall<Request, Response>,
  method: string,
  { channel, address }: CallSettings,
  { metadata, signal, connectTimeoutMs }: { metadata: Metadata; signal: AbortSignal; connectTimeoutMs: number },
): AsyncGenerator<Response, Response | void, undefined> {
  for (let attempt = 1; ; attempt++) {
    let delivered = false;
    try {
      await waitReady(channel, address, connectTimeoutMs, signal);
      if (!call.responseStream) return yield* call.next(call.request, { metadata, signal });
      for await (const message of call.next(call.request, { metadata, signal })) {
        delivered = true;
        yield message;
      }
      return;
    } catch (thrown) {
      const again =
        (isNeverSent(thrown) && attempt < NEVER_SENT_ATTEMPTS) ||
        (isCutOff(thrown) && isRead(method) && attempt < READ_ATTEMPTS);
      if (!again || delivered || call.requestStream || signal.aborted) throw thrown;
    }
  }
}

function headers(namespace: string, lease: string | undefined, span: Span | undefined): Metadata {
  const metadata = Metadata({ 'containerd-namespace': namespace });
  if (lease !== undefined && lease !== '') metadata.set('containerd-lease', lease);
  if (span) for (const [name, value] of Object.entries(span.headers())) metadata.set(name, value);
  return metadata;
}

/** Combines timeout, caller and close into one signal and records the first. */
function startLimits(timeoutMs: number, signal: AbortSignal | undefined, endings: Endings) {
  const controller = new AbortController();
  let why: Ended | undefined;
  const end = (reason: Ended) => (): void => {
    why ??= reason;
    controller.abort();
  };
  const onAbort = end('cancelled');
  const timer = timeoutMs > 0 ? startTimer(timeoutMs, end('deadline')) : undefined;
  const forget = endings.add(end('closed'));
  signal?.addEventListener('abort', onAbort, { once: true });
  if (endings.closed) end('closed')();
  else if (signal?.aborted === true) onAbort();
  return {
    signal: controller.signal,
    ended: () => why,
    release: (): void => {
      timer?.clear();
      forget();
      signal?.removeEventListener('abort', onAbort);
    },
  };
}
