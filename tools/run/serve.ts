import { connect } from 'node:net';
import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { stringify } from 'smol-toml';
import { criClient, type CriClient } from '../../test/harness/cri-client.js';
import { logTail, startDaemon, type Daemon } from '../stack/daemon.js';
import { onDispose } from '../stack/disposers.js';
import { projectRoot } from '../stack/project.js';
import { until } from '../stack/wait.js';
import type { Backend } from './backend.js';

/** A running crid, with a client. */
export interface Served extends CriClient {
  readonly logFile: string;
  pid(): number;
  /** Waits until crid has ended, for any reason. */
  ended(): Promise<number | string>;
  /** Starts crid again after its end, and waits until it responds. */
  restart(): Promise<void>;
}

const SOCKET = '/run/crid/crid.sock';
const READY_LIMIT_MS = 30_000;
const STOP_LIMIT_MS = 45_000;

/** Starts crid from this checkout and waits until it responds. */
export async function serveCrid({ dir, containerdConfig, config }: Backend): Promise<Served> {
  // If another crid uses the default socket, this one uses a socket in `dir`.
  const socket = (await isServed(SOCKET)) ? join(dir, 'crid.sock') : SOCKET;
  await mkdir(join(socket, '..'), { recursive: true });
  const [file, logFile] = [join(dir, 'crid.toml'), join(dir, 'crid.log')];
  await writeFile(file, stringify(config));
  const files = ['--containerd-config', containerdConfig, '--config', file];
  const client = criClient(socket);
  const start = async (): Promise<Daemon> => {
    const started = await startDaemon(join(projectRoot, 'bin', 'crid'), ['serve', ...files, '--listen', socket], {
      logFile,
    });
    await until(`crid answers on ${socket}`, READY_LIMIT_MS, async () => {
      if (started.hasEnded()) return false;
      await client.runtime.version({});
      return true;
    });
    if (started.hasEnded()) throw new Error(`crid has ended: ${logTail(logFile)}`);
    return started;
  };
  let daemon = await start();
  onDispose(`crid on ${socket}`, async () => {
    client.close();
    await daemon.stop('SIGTERM', STOP_LIMIT_MS);
  });
  return {
    ...client,
    logFile,
    pid: () => daemon.pid,
    ended: () => daemon.ended,
    restart: async () => void (daemon = await start()),
  };
}

function isServed(path: string): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect(path);
    const answer = (served: boolean): void => {
      socket.destroy();
      resolve(served);
    };
    socket.once('connect', () => answer(true));
    socket.once('error', () => answer(false));
  });
}
