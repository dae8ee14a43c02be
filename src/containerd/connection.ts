import type { Client, CompatServiceDefinition } from 'nice-grpc';
import { createCalls, type CallExtras, type CallSettings, type Endings } from './call.js';
import type { CallOptions } from './containerd.js';
import { methodOf, type WireService } from './method.js';

export type ServiceClient<Definition extends CompatServiceDefinition> = Client<Definition, CallExtras>;

/** Creates the client of one service on the shared channel. */
export type ClientOf = <Definition extends CompatServiceDefinition>(
  definition: Definition,
) => ServiceClient<Definition>;

export function createConnection(settings: CallSettings): ClientOf {
  const { unary, streaming } = createCalls(settings);
  return (definition) => {
    const { fullName, methods } = definition as unknown as WireService;
    const client = Object.entries(methods).map(([name, wire]) => {
      const method = methodOf(fullName, wire);
      const call = wire.requestStream || wire.responseStream ? streaming : unary;
      return [name, (request: never, extras: CallExtras) => call(method, request, extras)] as const;
    });
    return Object.fromEntries(client) as never;
  };
}

/** The extras of an ordinary call: the client's default timeout unless `options` has one. */
export const withOptions = (options: CallOptions | undefined): CallExtras => ({ call: options });

/** The extras of a call without a timeout (waits and streams), unless `options` has one. */
export const withoutLimit = (options: CallOptions | undefined): CallExtras => ({
  call: { timeoutMs: 0, ...definedOnly(options) },
});

export function createEndings(): Endings & { endAll(): void } {
  const running = new Set<() => void>();
  let closed = false;
  return {
    get closed() {
      return closed;
    },
    add: (end) => {
      running.add(end);
      return () => void running.delete(end);
    },
    endAll: () => {
      closed = true;
      for (const end of [...running]) end();
    },
  };
}

const definedOnly = (options: CallOptions | undefined): CallOptions =>
  Object.fromEntries(Object.entries(options ?? {}).filter(([, value]) => value !== undefined));
