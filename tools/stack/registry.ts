import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { logTail, startDaemon, type Daemon } from './daemon.js';
import { onDispose } from './disposers.js';
import type { Layout } from './layout.js';
import { freePort } from './ports.js';
import { until } from './wait.js';

/** A plain-HTTP registry on loopback. */
export interface Registry {
  /** `127.0.0.1:PORT` */
  readonly host: string;
  readonly url: string;
  readonly logFile: string;
  stop(): Promise<void>;
}

export interface RegistryOptions {
  /** The folder for the configuration and the log. */
  readonly dir: string;
  /** The folder of the images. The default is the layout's, which all stacks of this host share. */
  readonly storage?: string;
  /** The port, to restart a registry where it was before. */
  readonly port?: number;
  /** An htpasswd file (bcrypt). Requests without a valid password are refused. */
  readonly htpasswd?: string;
}

const READY_LIMIT_MS = 120_000;
const STOP_LIMIT_MS = 5_000;
const PROBE_LIMIT_MS = 2_000;
const TRIES = 3;

export async function startRegistry(layout: Layout, options: RegistryOptions): Promise<Registry> {
  const logFile = join(options.dir, 'registry.log');
  const storage = options.storage ?? layout.registry;
  await mkdir(storage, { recursive: true });
  for (let attempt = 1; ; attempt++) {
    const host = `127.0.0.1:${options.port ?? (await freePort())}`;
    const config = join(options.dir, `registry-${host.replace(/.*:/, '')}.yml`);
    await writeFile(config, registryConfig(host, storage, options.htpasswd));
    const daemon = await startDaemon(join(layout.bin, 'docker-registry'), ['serve', config], { logFile });
    const stop = onDispose(`registry ${host}`, () => daemon.stop('SIGTERM', STOP_LIMIT_MS));
    try {
      await ready(daemon, host);
      return { host, url: `http://${host}`, logFile, stop };
    } catch (error) {
      await stop();
      // Another process may have taken the port meanwhile.
      if (attempt >= TRIES) throw new Error(`registry: ${logTail(logFile)}`, { cause: error });
    }
  }
}

const registryConfig = (host: string, storage: string, htpasswd: string | undefined): string =>
  JSON.stringify({
    version: '0.1',
    log: { level: 'warn', accesslog: { disabled: true } },
    storage: {
      filesystem: { rootdirectory: storage },
      delete: { enabled: true },
      maintenance: { uploadpurging: { enabled: false } },
    },
    http: { addr: host },
    ...(htpasswd ? { auth: { htpasswd: { realm: 'crid-test', path: htpasswd } } } : {}),
  });

const ready = (daemon: Daemon, host: string): Promise<true> =>
  until(`registry on ${host} answers`, READY_LIMIT_MS, async () => {
    if (daemon.hasEnded()) throw new Error('the registry has ended');
    const { status } = await fetch(`http://${host}/v2/`, { signal: AbortSignal.timeout(PROBE_LIMIT_MS) });
    return status === 200 || status === 401 ? true : undefined;
  });
