import { connect, createServer, constants, type ClientHttp2Session, type ServerHttp2Stream } from 'node:http2';
import { connect as connectTo } from 'node:net';
import { buffer } from 'node:stream/consumers';
import { CreateContainerRequest, RunPodSandboxRequest } from '../../generated/runtime/v1/api.js';
import { withOwnPids } from '../harness/sandboxer.js';

/** The bytes before a message of gRPC: whether it is compressed, and its length. */
const PREFIX_BYTES = 5;

/**
 * Serves the CRI of `target` on another socket. Pods and containers that do not name a process namespace get one of
 * their own, as a kubelet asks: critest leaves it at the default, for which a pod has a pause container.
 */
export async function startOwnPids(target: string, socket: string): Promise<{ close(): void }> {
  const server = createServer();
  const sessions = new Set<{ destroy(): void }>();
  server.on('session', (session) => {
    const onward = connect('http://crid', { createConnection: () => connectTo(target) });
    for (const each of [session, onward]) {
      sessions.add(each);
      each.on('error', () => undefined);
      each.on('close', () => sessions.delete(each));
    }
    session.on('close', () => onward.close());
    session.on('stream', (stream, headers) => forward(stream, headers, onward));
  });
  await new Promise<void>((resolve) => server.listen(socket, resolve));
  return {
    close() {
      server.close();
      for (const session of sessions) session.destroy();
    },
  };
}

type Headers = Parameters<ClientHttp2Session['request']>[0] & object;

function forward(stream: ServerHttp2Stream, headers: Headers, onward: ClientHttp2Session): void {
  const request = onward.request(headers);
  stream.on('error', () => undefined);
  request.on('error', () => stream.close(constants.NGHTTP2_INTERNAL_ERROR));
  stream.on('aborted', () => request.close(constants.NGHTTP2_CANCEL));
  const rewrite = REWRITES[String(headers[':path'])];
  if (rewrite) {
    buffer(stream)
      .then((message) => {
        request.end(rewrite(message));
      })
      .catch(() => request.close(constants.NGHTTP2_CANCEL));
  } else {
    stream.pipe(request);
  }
  let trailers: Headers = {};
  request.on('trailers', (found: Headers) => {
    trailers = found;
  });
  stream.on('wantTrailers', () => stream.sendTrailers(trailers));
  request.on('response', (found, flags) => {
    if (stream.destroyed) return;
    const isWhole = (flags & constants.NGHTTP2_FLAG_END_STREAM) !== 0;
    stream.respond(found, isWhole ? { endStream: true } : { waitForTrailers: true });
    if (!isWhole) request.pipe(stream);
  });
}

const REWRITES: Readonly<Record<string, (message: Buffer) => Buffer>> = {
  '/runtime.v1.RuntimeService/RunPodSandbox': (message) => {
    const request = RunPodSandboxRequest.decode(message.subarray(PREFIX_BYTES));
    return framed(RunPodSandboxRequest.encode(RunPodSandboxRequest.fromPartial(withOwn(request))).finish());
  },
  '/runtime.v1.RuntimeService/CreateContainer': (message) => {
    const request = CreateContainerRequest.decode(message.subarray(PREFIX_BYTES));
    const { sandbox_config, ...rest } = withOwn(request);
    const own = { ...rest, sandbox_config: sandbox_config && withOwn({ config: sandbox_config }).config };
    return framed(CreateContainerRequest.encode(CreateContainerRequest.fromPartial(own)).finish());
  },
};

/** 0, POD, is also the value of a field that is not set. */
function withOwn<T extends { config?: { linux?: object | undefined } | undefined }>(request: T): T {
  const { config } = request;
  if (!config) return request;
  const { security_context: context, ...linux } = (config.linux ?? {}) as Linux;
  const { pid, ...options } = context?.namespace_options ?? {};
  const given = { ...linux, security_context: { ...context, namespace_options: pid ? { ...options, pid } : options } };
  return { ...request, config: { ...config, linux: withOwnPids(given) } };
}

interface Linux {
  readonly security_context?: { readonly namespace_options?: { readonly pid?: number } };
}

function framed(message: Uint8Array): Buffer {
  const prefix = Buffer.alloc(PREFIX_BYTES);
  prefix.writeUInt32BE(message.length, 1);
  return Buffer.concat([prefix, message]);
}
