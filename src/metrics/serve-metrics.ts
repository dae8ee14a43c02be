import { createServer } from 'node:http';
import type { Registry } from 'prom-client';
import { CriError } from '../base/errors.js';
import type { Logger } from '../base/log.js';

const REQUEST_TIMEOUT_MS = 10_000;

/** Serves `/metrics` on `host:port`. Rejects with the address when it cannot be used. */
export async function serveMetrics(options: {
  address: string;
  registry: Registry;
  log: Logger;
}): Promise<{ readonly port: number; close(): void }> {
  const { registry, log } = options;
  const server = createServer({ requestTimeout: REQUEST_TIMEOUT_MS }, (request, response) => {
    if (request.method !== 'GET' || request.url !== '/metrics') {
      response.writeHead(404).end();
      return;
    }
    registry.metrics().then(
      (text) => response.writeHead(200, { 'content-type': registry.contentType }).end(text),
      (thrown: unknown) => {
        log.warn({ err: CriError.from(thrown).message }, 'metrics not sent');
        response.writeHead(500).end();
      },
    );
  });
  const colon = options.address.lastIndexOf(':');
  const host = options.address.slice(0, colon).replace(/^\[|\]$/g, '');
  await new Promise<void>((resolve, reject) => {
    server.once('error', (cause) =>
      reject(
        new CriError('FAILED_PRECONDITION', `crid.metrics_address ${options.address}: ${cause.message}`, { cause }),
      ),
    );
    server.listen(Number(options.address.slice(colon + 1)), host === '' ? undefined : host, resolve);
  });
  // The metrics server must not keep the process alive.
  server.unref();
  const bound = server.address();
  const port = typeof bound === 'object' && bound ? bound.port : 0;
  log.info({ address: options.address, port }, 'metrics server listens');
  return {
    port,
    close() {
      server.close();
      server.closeAllConnections();
    },
  };
}
