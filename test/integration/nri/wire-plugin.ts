import { connect, type Socket } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import { PluginDefinition, RuntimeDefinition, type PluginInstance } from '../../../generated/nri/v1alpha1/api.js';
import { until } from '../../../tools/stack/wait.js';
import { createTrunk, type Trunk } from '../../../src/ttrpc/trunk.js';
import { createTtrpcClient, type TtrpcClient } from '../../../src/ttrpc/ttrpc-client.js';
import { methodOf } from '../../../src/ttrpc/ttrpc-method.js';
import { serveTtrpc, type Handlers } from '../../../src/ttrpc/ttrpc-server.js';
import { CALLS } from '../../../src/nri/plugin-calls.js';
import type { PluginCall } from '../../../src/nri/port.js';

const LIMIT_MS = 20_000;

export type PluginHandlers = Handlers<typeof PluginDefinition>;

/** A plugin in the test's process, which can break the protocol: its calls, its connection and the bytes on it. */
export interface WirePlugin {
  readonly socket: Socket;
  readonly trunk: Trunk;
  readonly runtime: TtrpcClient;
  /** The calls that it got, except Configure: `CreateContainer`. */
  readonly calls: string[];
  /** Resolves when crid has closed the connection. */
  closed(): Promise<void>;
  close(): void;
}

/** Connects to crid's NRI socket. A method without a handler answers with an empty message. */
export async function connectWirePlugin(
  path: string,
  handlers: (plugin: WirePlugin) => Partial<PluginHandlers> = () => ({}),
  subscribed: readonly PluginCall[] = [],
): Promise<WirePlugin> {
  const socket = connect(path);
  await new Promise<void>((resolve, reject) => socket.once('connect', resolve).once('error', reject));
  const trunk = createTrunk(socket);
  const calls: string[] = [];
  let isClosed = false;
  trunk.onClose(() => (isClosed = true));
  const plugin: WirePlugin = {
    socket,
    trunk,
    runtime: createTtrpcClient(trunk, 2),
    calls,
    closed: () => until('crid closes the connection', LIMIT_MS, () => isClosed || undefined).then(() => undefined),
    close: () => socket.destroy(),
  };
  const given = handlers(plugin);
  const all = Object.fromEntries(
    Object.entries(PluginDefinition.methods).map(([key, { name }]) => [
      key,
      async (request: never, signal: AbortSignal): Promise<unknown> => {
        if (key === 'configure') return { events: maskOf(subscribed), failure_policy: undefined };
        calls.push(name);
        const handler = given[key as keyof PluginHandlers] as ((of: never, signal: AbortSignal) => unknown) | undefined;
        return handler ? handler(request, signal) : { update: [], evict: [], more: false, reject: false, reason: '' };
      },
    ]),
  );
  serveTtrpc(trunk, 1, PluginDefinition, { ...(all as unknown as PluginHandlers), ...pick(given, 'configure') });
  trunk.read();
  return plugin;
}

/** Registers the plugin, such as `10-logger`. Resolves before it is told the state of the node. */
export const registerWirePlugin = ({ runtime }: WirePlugin, name: string): Promise<unknown> => {
  const { index, name: short } = instanceOf(name);
  return runtime.call(
    methodOf(RuntimeDefinition, 'registerPlugin'),
    { plugin_name: short, plugin_idx: index, NRI_version: '' },
    { timeoutMs: LIMIT_MS },
  );
};

/** Connects and registers a plugin, and waits until it has been told the state of the node. */
export async function joinWirePlugin(
  path: string,
  name: string,
  handlers?: Parameters<typeof connectWirePlugin>[1],
  subscribed?: Parameters<typeof connectWirePlugin>[2],
): Promise<WirePlugin> {
  const plugin = await connectWirePlugin(path, handlers, subscribed);
  await registerWirePlugin(plugin, name);
  await until('the plugin is synchronized', LIMIT_MS, () => plugin.calls.includes('Synchronize') || undefined);
  return plugin;
}

/** Resolves when the plugin has got the call so often. */
export async function untilCalled({ calls }: WirePlugin, call: string, times = 1): Promise<void> {
  while (calls.filter((each) => each === call).length < times) await sleep(10);
}

const instanceOf = (name: string): PluginInstance => ({ index: name.slice(0, 2), name: name.slice(3) });

const maskOf = (calls: readonly PluginCall[]): number =>
  calls.reduce((mask, call) => mask | (1 << (CALLS[call].event - 1)), 0);

const pick = (from: Partial<PluginHandlers>, key: keyof PluginHandlers): Partial<PluginHandlers> =>
  from[key] ? { [key]: from[key] } : {};
