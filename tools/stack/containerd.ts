import { existsSync } from 'node:fs';
import { mkdir } from 'node:fs/promises';
import { delimiter } from 'node:path';
import {
  containerdPaths,
  writeCerts,
  writeContainerdConfig,
  type ContainerdOptions,
  type ContainerdPaths,
} from './containerd-config.js';
import { logTail, startDaemon, type Daemon } from './daemon.js';
import { run } from './exec.js';
import type { Layout } from './layout.js';
import { until } from './wait.js';

/** A private containerd. Its pods keep running while it is stopped. */
export interface PrivateContainerd extends ContainerdPaths {
  pid(): number;
  start(): Promise<void>;
  /** Sends SIGTERM, then SIGKILL. */
  stop(): Promise<void>;
  /** Sends SIGKILL at once. */
  kill(): Promise<void>;
  ctr(...args: string[]): Promise<string>;
}

const READY_LIMIT_MS = 120_000;
const STOP_LIMIT_MS = 15_000;

export async function createContainerd(
  layout: Layout,
  dir: string,
  confDir: string,
  registryUrl: string,
  options: ContainerdOptions,
): Promise<PrivateContainerd> {
  const paths = containerdPaths(dir);
  await mkdir(dir, { recursive: true });
  if (options.rootBytes !== undefined) {
    await mkdir(paths.root);
    await run('mount', ['-t', 'tmpfs', '-o', `size=${options.rootBytes}`, 'crid-test-root', paths.root]);
  }
  await writeCerts(paths.certsDir, registryUrl);
  await writeContainerdConfig(layout, paths, confDir, options);
  const path = [
    layout.containerdBin,
    layout.bin,
    ...(options.criu ? [layout.criuBin] : []),
    process.env['PATH'] ?? '',
    '/usr/sbin',
    '/sbin',
  ];
  const env = { ...process.env, PATH: path.join(delimiter) };
  const ctr = (...args: string[]): Promise<string> => run(`${layout.containerdBin}/ctr`, ['-a', paths.socket, ...args]);
  let daemon: Daemon | undefined;
  const end = async (signal: NodeJS.Signals): Promise<void> => {
    const ending = daemon;
    daemon = undefined;
    await ending?.stop(signal, STOP_LIMIT_MS);
  };
  return {
    ...paths,
    pid: () => daemon?.pid ?? 0,
    async start() {
      if (daemon && !daemon.hasEnded()) return;
      const started = await startDaemon(`${layout.containerdBin}/containerd`, ['-c', paths.config], {
        logFile: paths.log,
        env,
      });
      daemon = started;
      await until(`containerd on ${paths.socket} answers`, READY_LIMIT_MS, async () => {
        if (started.hasEnded()) throw new Error('containerd has ended');
        if (!existsSync(paths.socket)) return undefined;
        await ctr('version');
        return true;
      }).catch((error: unknown) => {
        throw new Error(`start containerd: ${logTail(paths.log)}`, { cause: error });
      });
    },
    stop: () => end('SIGTERM'),
    kill: () => end('SIGKILL'),
    ctr,
  };
}
