import { connectPlugin, type PluginOptions } from './connect-plugin.js';
import type { PluginHandlers } from './handlers.js';

const SIGNALS = ['SIGTERM', 'SIGINT'] as const;

/**
 * Runs a plugin until SIGTERM, SIGINT or the runtime's Shutdown, and resolves then. Rejects with the errors of
 * `connectPlugin`, and with UNAVAILABLE when the connection is lost: an external plugin should be started again then.
 */
export async function runPlugin(handlers: PluginHandlers, options: PluginOptions = {}): Promise<void> {
  const plugin = await connectPlugin(handlers, options);
  const onSignal = (): void => {
    // It never rejects: the calls that it waits for are settled.
    plugin.close().catch(() => undefined);
  };
  for (const name of SIGNALS) process.on(name, onSignal);
  try {
    const lost = await plugin.closed;
    if (lost) throw lost;
  } finally {
    for (const name of SIGNALS) process.off(name, onSignal);
  }
}
