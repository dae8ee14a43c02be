import { createServer, request as forward, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';

/** A registry in front of another. It records the requests. */
export interface RegistryProxy {
  /** `127.0.0.1:PORT` */
  readonly host: string;
  /** `METHOD /path` of every request, in order. */
  readonly requests: string[];
  /** The Authorization headers of all requests that have one. */
  readonly authorizations: string[];
  close(): void;
}

/** Returns true if it has responded to the request itself; other requests are forwarded. */
export type Guard = (request: IncomingMessage, response: ServerResponse) => boolean;

export async function startProxy(registryUrl: string, guard: Guard = () => false): Promise<RegistryProxy> {
  const [requests, authorizations]: [string[], string[]] = [[], []];
  const server = createServer((request, response) => {
    requests.push(`${request.method} ${request.url}`);
    if (request.headers.authorization) authorizations.push(request.headers.authorization);
    if (guard(request, response)) return;
    const { host: _host, authorization: _authorization, ...headers } = request.headers;
    const url = new URL(request.url ?? '/', registryUrl);
    const behind = forward(url, { method: request.method ?? 'GET', headers }, (answer) => {
      response.writeHead(answer.statusCode ?? 500, answer.headers);
      answer.pipe(response);
    });
    behind.once('error', () => response.destroy());
    request.pipe(behind);
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  return {
    host: `127.0.0.1:${(server.address() as AddressInfo).port}`,
    requests,
    authorizations,
    close: () => {
      server.close();
      server.closeAllConnections();
    },
  };
}

/** Requires Basic credentials. */
export function demanding(username: string, password: string): Guard {
  const wanted = basic(username, password);
  return ({ headers }, response) => {
    if (headers.authorization === wanted) return false;
    response.writeHead(401, { 'www-authenticate': 'Basic realm="test"' }).end();
    return true;
  };
}

/** Redirects requests for blobs to another host. */
export const redirectingBlobs =
  (to: string): Guard =>
  ({ url = '' }, response) => {
    if (!url.includes('/blobs/')) return false;
    response.writeHead(307, { location: `http://${to}${url}` }).end();
    return true;
  };

export const basic = (username: string, password: string): string =>
  `Basic ${Buffer.from(`${username}:${password}`).toString('base64')}`;
