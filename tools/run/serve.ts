import { connect } from 'node:net';
import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { stringify } from 'smol-toml';
import { criClient, type CriClient } from '../../test/harness/cri-client.js';
import { logTail, startDaemon } from '../stack/daemon.js';
import { onDispose } from '../stack/disposers.js';
import { projectRoot } from '../stack/project.js';
import { until } from '../stack/wait.js';
import type { Backend } from './backend.js';

/** A crid that runs, and a client of it. */
export interface Served extends CriClient {
  readonly logFile: string;
  /** Resolves when it has ended, whoever ended it. */
  readonly ended: Promise<number | string>;
}

const SOCKET = '/run/crid/crid.sock';
const READY_LIMIT_MS = 30_000;
const STOP_LIMIT_MS = 45_000;

/** Starts crid from this checkout and waits until it answers. */
export async function serveCrid({ dir, containerdConfig, config }: Backend): Promise<Served> {
  // Another crid of this machine keeps its socket.
  const socket = (await isServed(SOCKET)) ? join(dir, 'crid.sock') : SOCKET;
  await mkdir(join(socket, '..'), { recursive: true });
  const [file, logFile] = [join(dir, 'crid.toml'), join(dir, 'crid.log')];
  await writeFile(file, stringify(config));
  const files = ['--containerd-config', containerdConfig, '--config', file];
  const daemon = await startDaemon(join(projectRoot, 'bin', 'crid'), ['serve', ...files, '--listen', socket], {
    logFile,
  });
  const client = criClient(socket);
  onDispose(`crid on ${socket}`, async () => {
    client.close();
    await daemon.stop('SIGTERM', STOP_LIMIT_MS);
  });
  await until(`crid answers on ${socket}`, READY_LIMIT_MS, async () => {
    if (daemon.hasEnded()) return false;
    await client.runtime.version({});
    return true;
  });
  if (daemon.hasEnded()) throw new Error(`crid has ended: ${logTail(logFile)}`);
  return { ...client, logFile, ended: daemon.ended };
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
