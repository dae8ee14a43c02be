import { createServer, request as send, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { registry } from './lab.js';

export interface Proxy {
  readonly host: string;
  /** The Authorization header of each request in order, "" for none. */
  readonly seen: readonly string[];
  close(): void;
}

/**
 * Starts an HTTP proxy in front of the registry. `guard` returns true if it has responded to a request itself; other
 * requests are forwarded.
 */
export async function startProxy(
  guard: (request: IncomingMessage, response: ServerResponse, host: string) => boolean,
): Promise<Proxy> {
  const seen: string[] = [];
  const server: Server = createServer((request, response) => {
    seen.push(request.headers.authorization ?? '');
    if (!guard(request, response, host)) forward(request, response);
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const host = `127.0.0.1:${(server.address() as AddressInfo).port}`;
  return {
    host,
    seen,
    close: () => {
      server.closeAllConnections();
      server.close();
    },
  };
}

export function unauthorized(response: ServerResponse, challenge: string): true {
  response.writeHead(401, { 'www-authenticate': challenge }).end();
  return true;
}

function forward(request: IncomingMessage, response: ServerResponse): void {
  const { authorization: _unused, host: _replaced, ...headers } = request.headers;
  const onward = send(`http://${registry}${request.url ?? ''}`, { method: request.method, headers }, (answer) => {
    response.writeHead(answer.statusCode ?? 502, answer.headers);
    answer.pipe(response);
  });
  onward.on('error', () => response.destroy());
  request.pipe(onward);
}
