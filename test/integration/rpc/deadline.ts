import { Client, credentials, type ServiceError } from '@grpc/grpc-js';
import { Status } from 'nice-grpc';

interface Method<Request, Response> {
  readonly name: string;
  readonly requestType: { encode(message: Request): { finish(): Uint8Array } };
  readonly responseType: { decode(bytes: Uint8Array): Response };
}

/** Makes a call with a deadline that the server sees, like a kubelet's (nice-grpc's client sends none). */
export function callWithin<Request, Response>(
  socket: string,
  method: Method<Request, Response>,
  request: Request,
  withinMs: number,
  service: 'RuntimeService' | 'ImageService' = 'RuntimeService',
): Promise<{ code: string; message: string }> {
  const client = new Client(`unix://${socket}`, credentials.createInsecure(), { 'grpc.use_local_subchannel_pool': 1 });
  return new Promise<{ code: string; message: string }>((resolve) => {
    client.makeUnaryRequest(
      `/runtime.v1.${service}/${method.name}`,
      (message: Request) => Buffer.from(method.requestType.encode(message).finish()),
      (bytes: Buffer) => method.responseType.decode(bytes),
      request,
      { deadline: Date.now() + withinMs },
      (error: ServiceError | null) =>
        resolve({ code: Status[error?.code ?? Status.OK] ?? '', message: error?.details ?? '' }),
    );
  }).finally(() => client.close());
}
