import { randomUUID } from 'node:crypto';
import { withContext, type RequestContext } from '../base/context.js';
import { CriError } from '../base/errors.js';
import type { Logger } from '../base/log.js';
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

export interface RequestOptions {
  readonly log: Logger;
  readonly tracer?: Tracer | undefined;
  readonly onCall?: ((call: AnsweredCall) => void) | undefined;
  readonly underWay?: CallsUnderWay | undefined;
}

/** An RPC that runs. */
export interface RunningRequest {
  /** Runs `work` with the request's context, also in everything that it awaits. */
  within<T>(work: () => T): T;
  /** The response, or undefined for a method that sends several messages. */
  answered(response: unknown): void;
  /** Returns the error to send. */
  failed(thrown: unknown): CriError;
}

/**
 * Begins an RPC: it gets an id that appears in the log of each containerd call. Its end logs one line. `header` reads
 * the client's headers.
 */
export function beginRequest(
  { log, tracer, onCall, underWay }: RequestOptions,
  path: string,
  message: unknown,
  header: (name: string) => string | undefined,
): RunningRequest {
  const span = tracer?.start(path.slice(1), { 'rpc.system': 'grpc', ...spanAttributes(message) }, header);
  const endUnderWay = underWay?.begin();
  const context = requestContext(log, path, span);
  const startedMs = performance.now();
  const end = (ids: Readonly<Record<string, string>>, failure: CriError | undefined): void => {
    endUnderWay?.();
    const durationMs = Math.round((performance.now() - startedMs) * 1000) / 1000;
    const code = failure?.code ?? 'OK';
    span?.end(failure);
    onCall?.({ method: path, code, durationMs });
    if (failure) context.log.warn({ ...ids, durationMs, code, err: failure.message }, 'call failed');
    else if (!QUIET.test(path)) context.log.info({ ...ids, durationMs }, 'call answered');
    else if (log.isLevelEnabled('debug')) context.log.debug({ ...ids, durationMs }, 'call answered');
  };
  return {
    within: (work) => withContext(context, work),
    answered(response) {
      span?.set(spanAttributes(response));
      end({ ...idsIn(message), ...idsIn(response) }, undefined);
    },
    failed(thrown) {
      const failure = CriError.from(thrown);
      end(idsIn(message), failure);
      return failure;
    },
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
