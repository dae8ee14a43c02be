import { randomUUID } from 'node:crypto';
import { ServerError, type CallContext, type ServerMiddlewareCall } from 'nice-grpc';
import { withContext, type RequestContext } from '../base/context.js';
import { Code, CriError } from '../base/errors.js';
import type { Logger } from '../base/log.js';
import { shortened } from '../base/shortened.js';
import type { Attributes, Span, Tracer } from '../base/span.js';
import type { CallsUnderWay } from './calls-under-way.js';

/** The paths of RPCs that change nothing and that are called all the time. */
export const QUIET = /\/(Version|Status|RuntimeConfig|List\w+|Stream\w+|ReadCalls|\w+Status|\w+Stats|ImageFsInfo)$/;

/** A finished call, as metrics count it. */
export interface AnsweredCall {
  readonly method: string;
  readonly code: string;
  readonly durationMs: number;
}

/**
 * Middleware of every RPC. It gives the request an id that appears in the log of each containerd call, logs one line at
 * the end of the call, and is the only place that translates an error to a gRPC status.
 */
export function requestMiddleware(options: {
  log: Logger;
  tracer?: Tracer | undefined;
  onCall?: (call: AnsweredCall) => void;
  underWay?: CallsUnderWay | undefined;
}) {
  return async function* <Request, Response>(
    call: ServerMiddlewareCall<Request, Response>,
    context: CallContext,
  ): AsyncGenerator<Response, Response | void, undefined> {
    const span = options.tracer?.start(
      call.method.path.slice(1),
      { 'rpc.system': 'grpc', ...spanAttributes(call.request) },
      (name) => context.metadata.get(name)?.toString(),
    );
    const end = options.underWay?.begin();
    const request = requestContext(options.log, call.method.path, span);
    const startedMs = performance.now();
    let failure: CriError | undefined;
    let ids = idsIn(call.request);
    try {
      // A generator's body does not keep the asynchronous context of the code that iterates it, so each step enters it.
      const steps = withContext(request, () => call.next(call.request as never, context));
      for (;;) {
        const step = await withContext(request, () => steps.next());
        if (step.done) {
          span?.set(spanAttributes(step.value));
          ids = { ...ids, ...idsIn(step.value) };
          return step.value;
        }
        yield step.value;
      }
    } catch (thrown) {
      failure = CriError.from(thrown);
      throw new ServerError(Code[failure.code], shortened(failure.message));
    } finally {
      end?.();
      const durationMs = Math.round((performance.now() - startedMs) * 1000) / 1000;
      const code = failure?.code ?? 'OK';
      span?.end(failure);
      options.onCall?.({ method: call.method.path, code, durationMs });
      if (failure) request.log.warn({ ...ids, durationMs, code, err: failure.message }, 'call failed');
      else if (!QUIET.test(call.method.path)) request.log.info({ ...ids, durationMs }, 'call answered');
      else if (options.log.isLevelEnabled('debug')) request.log.debug({ ...ids, durationMs }, 'call answered');
    }
  };
}

/** Creates the logger on first use: most List calls log nothing. */
function requestContext(log: Logger, path: string, span: Span | undefined): RequestContext {
  const requestId = randomUUID();
  let own: Logger | undefined;
  return {
    requestId,
    span,
    get log() {
      const rpc = path.slice(path.lastIndexOf('/') + 1);
      own ??= log.child({ requestId, ...(span?.traceId !== undefined && { traceId: span.traceId }), rpc });
      return own;
    },
  };
}

/** The ids and the image in a request or response, under the names that the spans of containerd's CRI plugin use. */
function spanAttributes(message: unknown): Attributes {
  if (typeof message !== 'object' || message === null) return {};
  const { pod_sandbox_id, container_id, image, config, sandbox_config } = message as Readonly<Record<string, unknown>>;
  const found: Record<string, string> = {};
  if (isText(pod_sandbox_id)) found['sandbox.id'] = pod_sandbox_id;
  if (isText(container_id)) found['container.id'] = container_id;
  const [pod, container] = [nameIn(sandbox_config) ?? nameIn(config), nameIn(config)];
  if (pod?.namespace !== undefined) found['sandbox.name'] = `${pod.namespace}/${pod.name}`;
  if (container && container.namespace === undefined) found['container.name'] = container.name;
  const reference = referenceIn(image) ?? referenceIn((config as { image?: unknown } | undefined)?.image);
  if (reference !== undefined) found['image.ref'] = reference;
  return found;
}

/** The ids of the pod and of the container in a request or response, under the keys of the log. */
function idsIn(message: unknown): Readonly<Record<string, string>> {
  if (typeof message !== 'object' || message === null) return {};
  const { pod_sandbox_id, container_id } = message as Readonly<Record<string, unknown>>;
  return {
    ...(isText(pod_sandbox_id) && { pod: pod_sandbox_id }),
    ...(isText(container_id) && { container: container_id }),
  };
}

const isText = (value: unknown): value is string => typeof value === 'string' && value !== '';

/** The name in the config of a pod, which also has a namespace, or of a container. */
function nameIn(config: unknown): { readonly name: string; readonly namespace: string | undefined } | undefined {
  const metadata = (config as { metadata?: { name?: unknown; namespace?: unknown } } | null | undefined)?.metadata;
  if (!isText(metadata?.name)) return undefined;
  return { name: metadata.name, namespace: isText(metadata.namespace) ? metadata.namespace : undefined };
}

const referenceIn = (spec: unknown): string | undefined => {
  const reference = (spec as { image?: unknown } | null | undefined)?.image;
  return isText(reference) ? reference : undefined;
};
