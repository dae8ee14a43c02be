import type { Socket } from 'node:net';
import type { TestContext } from 'node:test';
import {
  PluginDefinition,
  RuntimeDefinition,
  type ConfigureResponse,
  type PluginInstance,
} from '../../../generated/nri/v1alpha1/api.js';
import { CriError } from '../../../src/base/errors.js';
import { connectPlugin, type Plugin, type PluginOptions } from '../../../src/nri/plugin.js';
import { createTrunk, type Trunk } from '../../../src/ttrpc/trunk.js';
import { createTtrpcClient, type TtrpcClient } from '../../../src/ttrpc/ttrpc-client.js';
import { methodOf } from '../../../src/ttrpc/ttrpc-method.js';
import { serveTtrpc, type Handlers } from '../../../src/ttrpc/ttrpc-server.js';
import { silent } from '../containerd/fake-containerd.js';
import { socketPair } from '../ttrpc/peers.js';

type PluginHandlers = Handlers<typeof PluginDefinition>;

/** The plugin's end of a connection; a method that is not given is UNIMPLEMENTED. */
export interface FakePlugin {
  readonly trunk: Trunk;
  readonly runtime: TtrpcClient;
  readonly socket: Socket;
}

export interface Connected {
  readonly fake: FakePlugin;
  /** crid's end, or the error of the registration. */
  readonly plugin: Promise<Plugin>;
}

export const options = (more: Partial<PluginOptions> = {}): PluginOptions => ({
  log: silent,
  runtimeVersion: '1.2.3',
  registrationTimeoutMs: 2_000,
  requestTimeoutMs: () => 2_000,
  update: async () => [],
  onCall: () => undefined,
  ...more,
});

/** Connects a fake plugin to crid's end, without a registration. */
export async function connectFake(
  t: TestContext,
  handlers: Partial<PluginHandlers> = {},
  more: Partial<PluginOptions> = {},
): Promise<Connected> {
  const [near, far] = await socketPair(t);
  const plugin = connectPlugin(near, options(more));
  plugin.catch(() => undefined);
  const trunk = createTrunk(far);
  const missing = async (): Promise<never> => {
    throw new CriError('UNIMPLEMENTED', 'no such method');
  };
  const none = Object.fromEntries(Object.keys(PluginDefinition.methods).map((name) => [name, missing]));
  const configure = async (): Promise<ConfigureResponse> => ({ events: 0, failure_policy: undefined });
  serveTtrpc(trunk, 1, PluginDefinition, { ...(none as unknown as PluginHandlers), configure, ...handlers });
  const runtime = createTtrpcClient(trunk, 2);
  trunk.read();
  return { plugin, fake: { trunk, socket: far, runtime } };
}

export const register = ({ runtime }: FakePlugin, { name, index }: PluginInstance): Promise<unknown> =>
  runtime.call(
    methodOf(RuntimeDefinition, 'registerPlugin'),
    { plugin_name: name, plugin_idx: index, NRI_version: '' },
    { timeoutMs: 2_000 },
  );

/** Connects and registers a plugin. */
export async function registered(
  t: TestContext,
  instance: PluginInstance,
  handlers: Partial<PluginHandlers> = {},
  more: Partial<PluginOptions> = {},
): Promise<Plugin> {
  const { fake, plugin } = await connectFake(t, handlers, more);
  await register(fake, instance);
  return plugin;
}
