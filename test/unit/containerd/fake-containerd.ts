import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { pino } from 'pino';
import { createServer, type CallContext, type Server } from 'nice-grpc';
import { ContainersDefinition } from '../../../generated/containerd/services/containers/v1/containers.js';
import { EventsDefinition } from '../../../generated/containerd/services/events/v1/events.js';
import { LeasesDefinition } from '../../../generated/containerd/services/leases/v1/leases.js';
import type { Envelope } from '../../../generated/containerd/types/event.js';

export const silent = pino({ level: 'silent' });

type Answer<Request, Response> = (request: Request, context: CallContext) => Promise<Response> | Response;

/** A gRPC server on its own socket. It serves a few of containerd's methods with the results that the test gives. */
export interface FakeConfig {
  readonly deleteContainer?: Answer<{ id: string }, object>;
  readonly createLease?: Answer<{ id: string }, { lease: { id: string } }>;
  readonly listLeases?: Answer<object, { leases: { id: string }[] }>;
  readonly subscribe?: (filters: string[], context: CallContext) => AsyncIterable<Partial<Envelope>>;
  readonly publish?: (topic: string) => void;
}

export async function createFake(config: FakeConfig) {
  const folder = await mkdtemp(join(tmpdir(), 'crid-fake-'));
  const address = join(folder, 'containerd.sock');
  let server: Server | undefined;
  const stop = (): void => {
    server?.forceShutdown();
    server = undefined;
  };
  return {
    address,
    start: async (): Promise<void> => {
      server = createServer();
      addServices(server, config);
      await server.listen(`unix://${address}`);
    },
    stop,
    remove: async (): Promise<void> => {
      stop();
      await rm(folder, { recursive: true, force: true });
    },
  };
}

function addServices(server: Server, config: FakeConfig): void {
  const missing = (): never => {
    throw new Error('the test answers no such call');
  };
  server.add(ContainersDefinition, {
    get: missing,
    list: missing,
    listStream: missing,
    create: missing,
    update: missing,
    delete: async (request, context) => (await config.deleteContainer?.(request, context)) ?? missing(),
  });
  server.add(LeasesDefinition, {
    create: async (request, context) => (await config.createLease?.(request, context)) ?? missing(),
    delete: missing,
    list: async (request, context) => (await config.listLeases?.(request, context)) ?? missing(),
    addResource: missing,
    deleteResource: missing,
    listResources: missing,
  });
  server.add(EventsDefinition, {
    publish: async ({ topic }) => {
      config.publish?.(topic);
      return {};
    },
    forward: missing,
    subscribe: ({ filters }, context) => config.subscribe?.(filters, context) ?? missing(),
  });
}
