import { connect, Socket } from 'node:net';
import {
  ContainerEviction,
  ContainerUpdate,
  PluginDefinition,
  RuntimeDefinition,
  type FailurePolicy,
} from '../../generated/nri/v1alpha1/api.js';
import { withResolvers } from '../base/async.js';
import { CriError } from '../base/errors.js';
import { sleep, withLimit } from '../base/time.js';
import { NRI_VERSION, PLUGIN_INDEX, PLUGIN_NAME, PLUGIN_SERVICE, RUNTIME_SERVICE } from '../nri/wire.js';
import { createTrunk } from '../ttrpc/trunk.js';
import { createTtrpcClient } from '../ttrpc/ttrpc-client.js';
import { methodOf } from '../ttrpc/ttrpc-method.js';
import { serveTtrpc, type Handlers } from '../ttrpc/ttrpc-server.js';
import type { PartialMessage, PluginHandlers } from './handlers.js';
import { pluginMethods } from './serve-handlers.js';

const DEFAULT_SOCKET = '/var/run/nri/nri.sock';
const CONNECT_MS = 30_000;
const UPDATE_MS = 30_000;
/** How long calls under way may take when the plugin closes the connection. */
const LAST_CALLS_MS = 1_000;

export interface PluginOptions {
  /** Up to 128 letters, digits, `_`, `.`, `+` and `-`. By default `NRI_PLUGIN_NAME`, which a launched plugin has. */
  readonly name?: string | undefined;
  /** Two digits: the place among the plugins of the node. By default `NRI_PLUGIN_IDX`. */
  readonly index?: string | undefined;
  /** By default the connection of a launched plugin (`NRI_PLUGIN_SOCKET`), else `/var/run/nri/nri.sock`. */
  readonly socketPath?: string | undefined;
  /** Makes requests fail when the plugin is late or lost (NRI v0.12.4). */
  readonly failurePolicy?: Partial<FailurePolicy> | undefined;
  /** How long the runtime has to accept and to configure the plugin, 30 s by default. */
  readonly connectTimeoutMs?: number | undefined;
}

export interface ConnectedPlugin {
  readonly name: string;
  readonly index: string;
  /**
   * Changes containers without being asked. Returns the updates that failed. A handler must not wait for it: runtimes
   * let it wait for the request that the handler is about.
   */
  updateContainers(
    update: readonly PartialMessage<ContainerUpdate>[],
    evict?: readonly PartialMessage<ContainerEviction>[],
  ): Promise<ContainerUpdate[]>;
  /**
   * Resolves when the connection has closed: to undefined after `close` and after the runtime's Shutdown, otherwise to
   * an error that says why. Never rejects.
   */
  readonly closed: Promise<Error | undefined>;
  /** Waits up to a second for the calls under way, and closes the connection. */
  close(): Promise<void>;
}

/**
 * Connects a plugin to the runtime and registers it. Resolves when the runtime has configured it. Errors are
 * `Error`s with the gRPC code's name as `code`: INVALID_ARGUMENT for a bad name or index, UNAVAILABLE if the runtime
 * does not accept the connection or closes it, DEADLINE_EXCEEDED if it is late, and what `configure` threw.
 */
export async function connectPlugin(handlers: PluginHandlers, options: PluginOptions = {}): Promise<ConnectedPlugin> {
  const { name, index } = identityOf(options);
  const limitMs = options.connectTimeoutMs ?? CONNECT_MS;
  const late = (what: string) => (): never => {
    throw new CriError('DEADLINE_EXCEEDED', `${what} within ${limitMs / 1000} s`);
  };
  const trunk = createTrunk(await withLimit(openSocket(options.socketPath), limitMs, late('cannot connect')));
  const { promise: closed, resolve: end } = withResolvers<Error | undefined>();
  const configured = withResolvers();
  const calls = countedCalls(methodsOf(handlers, options));
  let isShutDown = false;
  serveTtrpc(trunk, PLUGIN_SERVICE, PluginDefinition, {
    ...calls.methods,
    async configure(request, signal) {
      try {
        const response = await calls.methods.configure(request, signal);
        configured.resolve();
        return response;
      } catch (thrown) {
        configured.reject(CriError.from(thrown).prefixed('configure'));
        throw thrown;
      }
    },
    shutdown: (request, signal) => {
      isShutDown = true;
      return calls.methods.shutdown(request, signal);
    },
  });
  trunk.onClose((reason) => {
    configured.reject(reason);
    end(isShutDown || reason.code === 'CANCELLED' ? undefined : reason);
  });
  const runtime = createTtrpcClient(trunk, RUNTIME_SERVICE);
  trunk.read();
  const register = async (): Promise<void> => {
    const request = { plugin_name: name, plugin_idx: index, NRI_version: NRI_VERSION };
    await runtime.call(methodOf(RuntimeDefinition, 'registerPlugin'), request, { timeoutMs: Infinity });
  };
  try {
    const ready = Promise.all([register(), configured.promise]);
    await withLimit(ready, limitMs, late('the runtime has not configured the plugin'));
  } catch (thrown) {
    trunk.close(CriError.from(thrown));
    throw thrown;
  }
  return {
    name,
    index,
    closed,
    async updateContainers(update, evict = []) {
      const request = {
        update: update.map((each) => ContainerUpdate.fromPartial(each as Partial<ContainerUpdate>)),
        evict: evict.map((each) => ContainerEviction.fromPartial(each as Partial<ContainerEviction>)),
      };
      const method = methodOf(RuntimeDefinition, 'updateContainers');
      return (await runtime.call(method, request, { timeoutMs: UPDATE_MS })).failed;
    },
    async close() {
      await withLimit(calls.ended(), LAST_CALLS_MS, () => undefined);
      trunk.close(new CriError('CANCELLED', 'the plugin has ended'));
    },
  };
}

function identityOf({ name = process.env['NRI_PLUGIN_NAME'], index = process.env['NRI_PLUGIN_IDX'] }: PluginOptions) {
  if (name === undefined || !PLUGIN_NAME.test(name))
    throw new CriError('INVALID_ARGUMENT', `name: expected up to 128 letters, digits, "_", ".", "+" and "-"`);
  if (index === undefined || !PLUGIN_INDEX.test(index))
    throw new CriError('INVALID_ARGUMENT', 'index: expected two digits');
  return { name, index };
}

const methodsOf = (handlers: PluginHandlers, { failurePolicy }: PluginOptions): Methods =>
  pluginMethods(handlers, failurePolicy && { fail_request: false, keep_connected: false, ...failurePolicy });

type Methods = Handlers<typeof PluginDefinition>;

/** Counts the calls that the handlers have not answered yet. */
function countedCalls(methods: Methods): { methods: Methods; ended(): Promise<void> } {
  const running = new Set<Promise<unknown>>();
  const counted = Object.entries(methods).map(([name, handle]) => {
    const call = async (request: never, signal: AbortSignal): Promise<unknown> => {
      const answer = (handle as (request: never, signal: AbortSignal) => Promise<unknown>)(request, signal);
      running.add(answer);
      try {
        return await answer;
      } finally {
        running.delete(answer);
      }
    };
    return [name, call] as const;
  });
  return {
    methods: Object.fromEntries(counted) as unknown as Methods,
    async ended() {
      while (running.size > 0) await Promise.allSettled(running);
      // The responses go to the kernel in this turn of the event loop.
      await sleep(0);
    },
  };
}

async function openSocket(path: string | undefined): Promise<Socket> {
  const fd = process.env['NRI_PLUGIN_SOCKET'];
  if (path === undefined && fd !== undefined) return socketOf(fd);
  const wanted = path ?? DEFAULT_SOCKET;
  return new Promise((resolve, reject) => {
    const socket = connect(wanted);
    socket.once('connect', () => resolve(socket.removeAllListeners('error')));
    socket.once('error', ({ message }) => reject(new CriError('UNAVAILABLE', message)));
  });
}

function socketOf(fd: string): Socket {
  try {
    return new Socket({ fd: Number(fd), readable: true, writable: true });
  } catch (thrown) {
    throw new CriError('UNAVAILABLE', `NRI_PLUGIN_SOCKET=${fd}: ${CriError.from(thrown).message}`);
  }
}
