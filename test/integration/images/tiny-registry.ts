import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import type { Blob, TinyImage } from './tiny-image.js';

export interface TinyRegistry {
  /** `127.0.0.1:PORT` */
  readonly host: string;
  /** Every request in order: `GET /v2/…`. */
  readonly requests: readonly string[];
  /** The Authorization headers of all requests, without duplicates. */
  readonly authorizations: ReadonlySet<string>;
  /** Returns true if it has responded to the request itself. */
  guard: (request: IncomingMessage, response: ServerResponse) => boolean;
  /** Serves the image at `/team/app` under the tag, behind an index if one is given. */
  put(tag: string, image: TinyImage, index?: Blob): void;
  close(): void;
}

export const REPOSITORY = 'team/app';

/** Starts a registry with one repository, which can be made to misbehave. */
export async function startRegistry(): Promise<TinyRegistry> {
  const blobs = new Map<string, Blob>();
  const requests: string[] = [];
  const authorizations = new Set<string>();
  const server = createServer((request, response) => {
    requests.push(`${request.method} ${request.url}`);
    if (request.headers.authorization) authorizations.add(request.headers.authorization);
    if (registry.guard(request, response)) return;
    const name = /^\/v2\/team\/app\/(?:blobs|manifests)\/([^?]+)/.exec(request.url ?? '')?.[1] ?? '';
    const blob = blobs.get(name);
    if (!blob) return void response.writeHead(404).end();
    response.writeHead(200, {
      'content-type': blob.mediaType,
      'content-length': blob.bytes.length,
      'docker-content-digest': blob.digest,
    });
    response.end(request.method === 'HEAD' ? undefined : blob.bytes);
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const registry: TinyRegistry = {
    host: `127.0.0.1:${(server.address() as AddressInfo).port}`,
    requests,
    authorizations,
    guard: () => false,
    put(tag, image, index) {
      for (const blob of [image.layer, image.config, image.manifest]) blobs.set(blob.digest, blob);
      if (index) blobs.set(index.digest, index);
      blobs.set(tag, index ?? image.manifest);
    },
    close: () => {
      server.closeAllConnections();
      server.close();
    },
  };
  return registry;
}

/** Sends the first half of a blob and then nothing more. */
export function stallAt(blob: Blob): TinyRegistry['guard'] {
  return (request, response) => {
    if (!request.url?.includes(`/blobs/${blob.digest}`)) return false;
    response.writeHead(200, { 'content-type': blob.mediaType, 'content-length': blob.bytes.length });
    response.write(blob.bytes.subarray(0, blob.bytes.length / 2));
    return true;
  };
}

/** Requires Basic credentials. */
export function demand(user: string, password: string): TinyRegistry['guard'] {
  const wanted = `Basic ${Buffer.from(`${user}:${password}`).toString('base64')}`;
  return (request, response) => {
    if (request.headers.authorization === wanted) return false;
    response.writeHead(401, { 'www-authenticate': 'Basic realm="test"' }).end();
    return true;
  };
}
