import { stat } from 'node:fs/promises';
import { join } from 'node:path';
import PQueue from 'p-queue';
import { CriError } from '../base/errors.js';
import type { Logger } from '../base/log.js';
import { outputOf, pluginFailed, seconds, stopReason, type PluginCall, type Verb } from './plugin-call.js';
import { runProcess } from './run-process.js';

export interface PluginMetric {
  readonly plugin: string;
  readonly verb: string;
  readonly durationMs: number;
  readonly ok: boolean;
}

export interface Plugins {
  /** Returns the path of the binary. FAILED_PRECONDITION, naming the plugin and the directories: not found. */
  find(type: string): Promise<string>;
  /**
   * Runs the plugin and returns its stdout. Errors name the plugin, its network, and for a hung plugin the time it ran.
   */
  run(call: PluginCall, signal: AbortSignal): Promise<string>;
  waitingOn(containerId: string): string | undefined;
}

export interface PluginsOptions {
  readonly binDirs: readonly string[];
  readonly timeoutsMs: Readonly<Record<Verb, number>>;
  readonly maxAtOnce: number;
  readonly log: Logger;
  readonly onPlugin?: ((metric: PluginMetric) => void) | undefined;
}

interface Running {
  readonly call: PluginCall;
  since: number;
  queued: boolean;
}

export function createPlugins(options: PluginsOptions): Plugins {
  const { binDirs, timeoutsMs, log } = options;
  const environment = pluginEnvironment(process.env);
  const queue = new PQueue({ concurrency: options.maxAtOnce });
  const running = new Set<Running>();

  const find = async (type: string): Promise<string> => {
    for (const dir of binDirs) {
      const path = join(dir, type);
      if (await isFile(path)) return path;
    }
    throw new CriError(
      'FAILED_PRECONDITION',
      `failed to find plugin ${JSON.stringify(type)} in path [${binDirs.join(' ')}]`,
    );
  };

  const execute = async (entry: Running, path: string, signal: AbortSignal): Promise<string> => {
    const { call } = entry;
    entry.queued = false;
    entry.since = performance.now();
    const timeoutMs = timeoutsMs[call.verb];
    const ended = await runProcess({
      path,
      env: { ...environment, ...variables(call, binDirs) },
      stdin: JSON.stringify(call.conf),
      timeoutMs,
      signal,
    });
    const durationMs = performance.now() - entry.since;
    const ok = ended.kind === 'exited' && ended.code === 0;
    options.onPlugin?.({ plugin: call.type, verb: call.verb, durationMs, ok });
    const { type: plugin, verb, network, containerId: pod } = call;
    const stderr = 'stderr' in ended && ended.stderr !== '' ? { stderr: ended.stderr.slice(0, 4096) } : {};
    log.debug({ plugin, verb, network, pod, durationMs, ok, ...stderr }, 'cni plugin ran');
    return outputOf(call, ended, durationMs, signal);
  };

  return {
    find,
    async run(call, signal) {
      const path = await find(call.type).catch((thrown: unknown) => {
        throw pluginFailed(call, CriError.from(thrown));
      });
      const entry: Running = { call, since: performance.now(), queued: true };
      // Abort only the wait in the queue: the queue would drop running work at once, but a running plugin's end is
      // awaited.
      const dequeue = new AbortController();
      const onAbort = (): void => {
        if (entry.queued) dequeue.abort(signal.reason);
      };
      if (signal.aborted) onAbort();
      signal.addEventListener('abort', onAbort, { once: true });
      running.add(entry);
      try {
        // Release before acquiring.
        const priority = call.verb === 'DEL' ? 1 : 0;
        return await queue.add(() => execute(entry, path, signal), { signal: dequeue.signal, priority });
      } catch (thrown) {
        throw entry.queued ? pluginFailed(call, stopReason(thrown)) : thrown;
      } finally {
        signal.removeEventListener('abort', onAbort);
        running.delete(entry);
      }
    },
    waitingOn(containerId) {
      const oldest = [...running].find(({ call }) => call.containerId === containerId);
      if (!oldest) return undefined;
      const { call, queued, since } = oldest;
      return `plugin ${call.type} (${call.verb}, ${queued ? 'queued ' : ''}${seconds(performance.now() - since)})`;
    },
  };
}

/** Returns the variables of CNI spec 1.1.0, "Parameters". All are set, so that a plugin inherits none of them. */
function variables(call: PluginCall, binDirs: readonly string[]): Record<string, string> {
  return {
    CNI_COMMAND: call.verb,
    CNI_CONTAINERID: call.containerId,
    CNI_NETNS: call.netns,
    CNI_IFNAME: call.ifName,
    CNI_ARGS: call.args.map(([name, value]) => `${name}=${value}`).join(';'),
    CNI_PATH: binDirs.join(':'),
  };
}

const isFile = async (path: string): Promise<boolean> => {
  try {
    return (await stat(path)).isFile();
  } catch {
    return false;
  }
};

/**
 * Returns the environment of every plugin, without its CNI_ variables. containerd gives plugins its whole environment,
 * and some are configured that way (KUBECONFIG, proxies), so crid passes on its own, without what is private to crid:
 * credentials, the supervisor's sockets and folders, and settings of crid's runtime.
 */
export function pluginEnvironment(own: Readonly<Record<string, string | undefined>>): Record<string, string> {
  const env: Record<string, string> = {};
  for (const [name, value] of Object.entries(own)) {
    if (value !== undefined && !PRIVATE.test(name)) env[name] = value;
  }
  // Plugins call iptables, nft and tc by name; without PATH they fail in a way that is hard to diagnose.
  env.PATH ??= '/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin';
  return env;
}

const PRIVATE =
  /^(CNI_|CRID_|OTEL_|NODE_(OPTIONS|PATH|DEBUG|V8_COVERAGE|EXTRA_CA_CERTS|COMPILE_CACHE)$|NPM_|LISTEN_(FDS|PID|FDNAMES)$|NOTIFY_SOCKET$|WATCHDOG_|(CACHE|CONFIGURATION|CREDENTIALS|LOGS|RUNTIME|STATE)_DIRECTORY$)|(TOKEN|SECRET|PASSWORD|PASSWD|CREDENTIAL|PRIVATE|API_?KEY|ACCESS_?KEY|AUTH)/i;
