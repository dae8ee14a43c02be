import type { ChildProcess } from 'node:child_process';
import type { Socket } from 'node:net';
import { inBackground } from '../base/background.js';
import { CriError } from '../base/errors.js';
import type { Logger } from '../base/log.js';
import { withLimit } from '../base/time.js';
import { durationMs, type NriConfig } from '../config/schema.js';
import { discoverPlugins, launchPlugin, type PluginFile } from './launch-plugins.js';
import { connectPlugin, type Launched, type Plugin, type PluginOptions } from './plugin.js';
import { applyToOthers, type OtherContainers } from './other-containers.js';
import { policyOf } from './plugin-policy.js';
import { openPluginSocket } from './plugin-socket.js';
import { pluginName } from './port.js';
import type { Registry } from './registry.js';

export interface NriOptions {
  readonly log: Logger;
  readonly config: NriConfig;
  readonly version: string;
  readonly registry: Registry;
  readonly others: OtherContainers;
  readonly onCall: PluginOptions['onCall'];
  readonly launchesPlugins: boolean;
  /** How often crid looks whether the socket for plugins is still its own. */
  readonly lookEveryMs?: number;
}

export interface NriService {
  /** Closes the socket, tells the plugins, and ends those that crid has launched. */
  close(): Promise<void>;
}

/** How long a launched plugin has to end after its connection has closed. */
const END_MS = 1_000;

/**
 * Launches the plugins of the plugin folder, waits until they know the state of the node, and then listens for others.
 * A plugin that fails to start is logged and left out. A socket that another runtime serves is left to it.
 */
export async function startNri(options: NriOptions): Promise<NriService> {
  const { log, config, registry } = options;
  const children = new Set<ChildProcess>();
  if (options.launchesPlugins) await launchAll(options, children);
  const socket = config.disable_connections
    ? undefined
    : await openPluginSocket({
        ...{ log, address: config.socket_path, lookEveryMs: options.lookEveryMs },
        onConnection: (plugin) => inBackground(log, 'registration of an NRI plugin', accept(options, plugin)),
      });
  return {
    async close() {
      await socket?.stop();
      await Promise.all(registry.list().map((plugin) => plugin.shutDown()));
      socket?.disconnect();
      await Promise.all([...children].map(end));
      log.debug('NRI has stopped');
    },
  };
}

async function launchAll(options: NriOptions, children: Set<ChildProcess>): Promise<void> {
  const { log, config } = options;
  const files = await discoverPlugins(config.plugin_path, config.plugin_config_path, (path, problem) =>
    log.warn({ path, err: problem }, 'an NRI plugin is not launched'),
  ).catch((thrown: unknown) => {
    log.warn({ path: config.plugin_path, err: CriError.from(thrown).message }, 'NRI plugins are not launched');
    return [];
  });
  await Promise.all(files.map((file) => launchOne(options, file, children)));
}

async function launchOne(options: NriOptions, file: PluginFile, children: Set<ChildProcess>): Promise<void> {
  try {
    const { socket, child } = await launchPlugin(file);
    children.add(child);
    child.once('exit', () => children.delete(child));
    // Without its connection, a plugin that runs on would do half of its work.
    socket.once('close', () => inBackground(options.log, 'end of an NRI plugin', end(child)));
    await accept(options, socket, file);
  } catch (thrown) {
    options.log.warn({ path: file.path, err: CriError.from(thrown).message }, 'an NRI plugin failed to start');
  }
}

/** Registers the plugin at the other end of the connection. */
async function accept(options: NriOptions, socket: Socket, launched?: Launched): Promise<void> {
  const { log, config, registry, version } = options;
  const plugin: Plugin = await connectPlugin(
    socket,
    {
      log,
      runtimeVersion: version,
      registrationTimeoutMs: durationMs(config.plugin_registration_timeout),
      requestTimeoutMs: (instance) => policyOf(config, instance).requestTimeoutMs,
      update: (instance, { update, evict }) => applyToOthers(options, update, evict, pluginName(instance)),
      onCall: options.onCall,
    },
    launched,
  );
  const updates = await registry.join(plugin);
  log.info({ plugin: plugin.name, launched: launched !== undefined }, 'an NRI plugin has registered');
  await applyToOthers(options, updates, [], plugin.name);
}

/** A plugin normally ends when its connection closes. */
async function end(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return;
  const ended = new Promise<void>((resolve) => child.once('exit', () => resolve()));
  await withLimit(ended, END_MS, () => void child.kill('SIGKILL'));
}
