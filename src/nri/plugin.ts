import type { Socket } from 'node:net';
import {
  PluginDefinition,
  RuntimeDefinition,
  type Container,
  type ContainerUpdate,
  type FailurePolicy,
  type PluginInstance,
  type PodSandbox,
  type RegisterPluginRequest,
  type UpdateContainersRequest,
} from '../../generated/nri/v1alpha1/api.js';
import { createKeyedQueue, withResolvers } from '../base/async.js';
import { CriError, isCode } from '../base/errors.js';
import type { Logger } from '../base/log.js';
import { unlessAborted, withLimit } from '../base/time.js';
import { createTrunk, type Trunk } from '../ttrpc/trunk.js';
import { createTtrpcClient, type TtrpcClient } from '../ttrpc/ttrpc-client.js';
import { PeerError } from '../ttrpc/ttrpc-errors.js';
import { methodOf, type Method } from '../ttrpc/ttrpc-method.js';
import { serveTtrpc } from '../ttrpc/ttrpc-server.js';
import { ALL_EVENTS, CALLS, isSubscribed } from './plugin-calls.js';
import { pluginName, type PluginCall, type PluginCalls } from './port.js';
import { synchronizePieces } from './synchronize.js';
import { NRI_VERSION, PLUGIN_INDEX, PLUGIN_NAME, PLUGIN_SERVICE, RUNTIME_SERVICE } from './wire.js';

const SHUTDOWN_MS = 500;
/** More calls than a full node has at a time: one for each pod, and those that nobody waits for any more. */
export const MAX_WAITING_CALLS = 1_024;

/** A registered and configured plugin. */
export interface Plugin {
  readonly instance: PluginInstance;
  /** `10-logger`. */
  readonly name: string;
  readonly failurePolicy: FailurePolicy;
  /** Why the connection is closed; undefined while it is open. */
  readonly closed: CriError | undefined;
  /** Whether the plugin has subscribed to the call, also after the connection has closed. */
  wants(call: PluginCall): boolean;
  /**
   * Makes a call. A plugin gets one call at a time: plugins written for other runtimes rely on that. Resolves to
   * undefined if the plugin does not implement the call. Throws a PeerError if it returned an error, the reason of
   * `signal`, and a fault of the connection or of the time otherwise. A plugin that is late is closed, unless it wants
   * to stay; also when `signal` has aborted meanwhile. A plugin for which too many calls wait is closed: when it
   * registers again, Synchronize tells it what it has missed.
   */
  call<C extends PluginCall>(
    call: C,
    request: () => PluginCalls[C][0],
    signal: AbortSignal,
  ): Promise<PluginCalls[C][1] | undefined>;
  /**
   * Tells the plugin the state of the node; calls wait until then. Returns the updates that it asks for. `state` is
   * called when it is the plugin's turn. The plugin has at least the time of its registration for each piece.
   */
  synchronize(state: () => Promise<{ pods: PodSandbox[]; containers: Container[] }>): Promise<ContainerUpdate[]>;
  onClose(listener: (reason: CriError) => void): void;
  /** Tells the plugin that crid ends, and closes the connection. */
  shutDown(): Promise<void>;
  close(reason: CriError): void;
}

export interface PluginOptions {
  readonly log: Logger;
  readonly runtimeVersion: string;
  readonly registrationTimeoutMs: number;
  /** Returns the time limit of one call to the plugin. */
  readonly requestTimeoutMs: (plugin: PluginInstance) => number;
  /** Returns the updates that failed. */
  readonly update: (plugin: PluginInstance, request: UpdateContainersRequest) => Promise<ContainerUpdate[]>;
  readonly onCall: (call: TimedCall) => void;
}

interface TimedCall {
  readonly plugin: string;
  readonly call: string;
  readonly durationMs: number;
  /** `OK`, or a gRPC code. */
  readonly code: string;
}

/** A plugin that crid has launched: its name comes from its file. */
export interface Launched {
  readonly instance: PluginInstance;
  readonly config: string;
}

/**
 * Waits for the registration of the plugin at the other end of `socket`, and configures it. Throws and closes the
 * socket if the plugin is late, has no valid name, or wants unknown events.
 */
export async function connectPlugin(socket: Socket, options: PluginOptions, launched?: Launched): Promise<Plugin> {
  const trunk = createTrunk(socket);
  const registered = withResolvers<PluginInstance>();
  trunk.onClose((reason) => registered.reject(reason));
  let instance = launched?.instance;
  let isRegistered = false;
  let refusal = '';
  serveTtrpc(trunk, RUNTIME_SERVICE, RuntimeDefinition, {
    registerPlugin: async (request) => {
      if (isRegistered) throw new CriError('ALREADY_EXISTS', `plugin "${pluginName(instance!)}" is already registered`);
      try {
        instance ??= checked(request);
      } catch (thrown) {
        // The plugin gets the error, and may register again.
        refusal = `: ${CriError.from(thrown).message}`;
        throw thrown;
      }
      isRegistered = true;
      registered.resolve(instance);
      return {};
    },
    updateContainers: async (request) => {
      if (!instance || !isRegistered) throw new CriError('FAILED_PRECONDITION', 'the plugin is not registered');
      return { failed: await options.update(instance, request) };
    },
  });
  const client = createTtrpcClient(trunk, PLUGIN_SERVICE);
  trunk.read();
  try {
    const limitMs = options.registrationTimeoutMs;
    const found = await withLimit(registered.promise, limitMs, (): never => {
      throw new CriError('DEADLINE_EXCEEDED', `not registered within ${limitMs / 1000} s${refusal}`);
    });
    return await configured(trunk, client, found, options, launched?.config ?? '');
  } catch (thrown) {
    trunk.close(CriError.from(thrown));
    throw thrown;
  }
}

function checked({ plugin_name: name, plugin_idx: index }: RegisterPluginRequest): PluginInstance {
  if (!PLUGIN_NAME.test(name))
    throw new CriError('INVALID_ARGUMENT', 'plugin_name: expected up to 128 letters, digits, "_", ".", "+" and "-"');
  if (!PLUGIN_INDEX.test(index)) throw new CriError('INVALID_ARGUMENT', 'plugin_idx: expected two digits');
  return { name, index };
}

async function configured(
  trunk: Trunk,
  client: TtrpcClient,
  instance: PluginInstance,
  options: PluginOptions,
  config: string,
): Promise<Plugin> {
  const timeoutMs = options.requestTimeoutMs(instance);
  const request = {
    config,
    runtime_name: 'crid',
    runtime_version: options.runtimeVersion,
    registration_timeout: BigInt(Math.round(options.registrationTimeoutMs)),
    request_timeout: BigInt(Math.round(timeoutMs)),
    NRI_version: NRI_VERSION,
  };
  const response = await client.call(methodOf(PluginDefinition, 'configure'), request, { timeoutMs });
  const { events, failure_policy } = response;
  if ((events & ~ALL_EVENTS) !== 0)
    throw new CriError('INVALID_ARGUMENT', `events: 0x${(events >>> 0).toString(16)} has unknown events`);
  return createPlugin(trunk, client, instance, {
    ...options,
    timeoutMs,
    /** A plugin that asks for all events need not implement all of them. */
    mayLack: events === 0,
    events: events === 0 ? ALL_EVENTS : events,
    failurePolicy: failure_policy ?? { fail_request: false, keep_connected: false },
  });
}

interface Configured extends PluginOptions {
  readonly timeoutMs: number;
  readonly mayLack: boolean;
  readonly events: number;
  readonly failurePolicy: FailurePolicy;
}

function createPlugin(trunk: Trunk, client: TtrpcClient, instance: PluginInstance, options: Configured): Plugin {
  const name = pluginName(instance);
  const inTurn = createKeyedQueue();
  let waiting = 0;
  const timed = timedCalls(client, name, options);
  const send = sender(timed, name, options);
  // A plugin that learns the state of a whole node is still starting, so it has the time of its registration.
  const synchronizeMs = Math.max(options.timeoutMs, options.registrationTimeoutMs);
  const closeIfLate = (thrown: unknown): never => {
    const isLate = isCode(thrown, 'DEADLINE_EXCEEDED') && !(thrown instanceof PeerError);
    if (isLate && !options.failurePolicy.keep_connected) trunk.close(CriError.from(thrown));
    throw thrown;
  };

  return {
    instance,
    name,
    failurePolicy: options.failurePolicy,
    get closed() {
      return trunk.closed;
    },
    wants: (call) => isSubscribed(options.events, call),
    async call<C extends PluginCall>(call: C, request: () => PluginCalls[C][0], signal: AbortSignal) {
      if (waiting >= MAX_WAITING_CALLS)
        trunk.close(new CriError('RESOURCE_EXHAUSTED', `${waiting} calls wait for the plugin`));
      waiting += 1;
      // A call that the caller has given up keeps the plugin's turn until it ends.
      const sent = inTurn(
        '',
        () => send(call, request()).catch(closeIfLate),
        (turn) => unlessAborted(turn, signal),
      ).finally(() => (waiting -= 1));
      return unlessAborted(sent as Promise<PluginCalls[C][1] | undefined>, signal);
    },
    synchronize: (state) =>
      inTurn('', async () => {
        const { pods, containers } = await state();
        const method = methodOf(PluginDefinition, 'synchronize');
        return synchronizePieces(pods, containers, (piece) => timed(method, piece, synchronizeMs));
      }),
    onClose: (listener) => trunk.onClose(listener),
    async shutDown() {
      if (trunk.closed) return;
      const limit = { timeoutMs: SHUTDOWN_MS };
      await client.call(methodOf(PluginDefinition, 'shutdown'), {}, limit).catch(() => undefined);
      trunk.close(new CriError('CANCELLED', 'crid ends'));
    },
    close: (reason) => trunk.close(reason),
  };
}

type Calls = <I, O>(method: Method<I, O>, request: I, limitMs?: number) => Promise<O>;

const timedCalls =
  (client: TtrpcClient, name: string, { timeoutMs, onCall }: Configured): Calls =>
  async (method, request, limitMs = timeoutMs) => {
    const startedMs = performance.now();
    let code = 'OK';
    try {
      return await client.call(method, request, { timeoutMs: limitMs });
    } catch (thrown) {
      ({ code } = CriError.from(thrown));
      throw thrown;
    } finally {
      onCall({ plugin: name, call: method.name, durationMs: performance.now() - startedMs, code });
    }
  };

/** Returns a function that makes a call, or sends the event to an old plugin, which has no method for it. */
function sender(timed: Calls, name: string, { log, mayLack }: Configured) {
  const lacks = new Set<PluginCall>();
  const isMissing = (call: PluginCall, thrown: unknown): boolean =>
    thrown instanceof PeerError && thrown.code === 'UNIMPLEMENTED' && (CALLS[call].stateChange || mayLack);

  return async (call: PluginCall, request: object): Promise<object | undefined> => {
    const { method, event, stateChange } = CALLS[call];
    if (!lacks.has(call)) {
      try {
        return await timed(methodOf(PluginDefinition, method) as unknown as Method<object, object>, request);
      } catch (thrown) {
        if (!isMissing(call, thrown)) throw thrown;
        lacks.add(call);
        log.info({ plugin: name, call }, 'the NRI plugin has no such method');
      }
    }
    if (!stateChange) return undefined;
    const subject = request as { pod?: PodSandbox; container?: Container };
    await timed(methodOf(PluginDefinition, 'stateChange'), { event, pod: subject.pod, container: subject.container });
    return {};
  };
}
