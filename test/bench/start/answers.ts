import { connect } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import { criClient } from '../../harness/cri-client.js';
import { cpuMs } from '../processes.js';

/** Milliseconds from the start of the process to the first successful response of each call. */
export interface FirstAnswers {
  readonly versionMs: number;
  readonly listContainersMs: number;
  /** The CPU time that the process has used by then. */
  readonly usedMs: number;
}

const ASK_EVERY_MS = 5;
const LIMIT_MS = 120_000;

/** A server that can be started. `pid` is valid after the start. */
export interface Startable {
  readonly socket: string;
  readonly pid: () => number;
  readonly start: () => Promise<unknown>;
}

/** Starts a server, and calls it until both calls have succeeded. */
export async function firstAnswers(server: Startable): Promise<FirstAnswers> {
  const startedMs = performance.now();
  const [answers] = await Promise.all([askOn(server, startedMs), server.start()]);
  return answers;
}

async function askOn({ socket, pid }: Startable, startedMs: number): Promise<FirstAnswers> {
  await untilDone(startedMs, () => connects(socket));
  const client = criClient(socket);
  const timeOf = (call: () => Promise<unknown>): Promise<number> =>
    untilDone(startedMs, () =>
      call().then(
        () => true,
        () => false,
      ),
    );
  try {
    const [versionMs, listContainersMs] = await Promise.all([
      timeOf(() => client.runtime.version({})),
      timeOf(() => client.runtime.listContainers({})),
    ]);
    return { versionMs, listContainersMs, usedMs: cpuMs(pid()) };
  } finally {
    client.close();
  }
}

async function untilDone(startedMs: number, attempt: () => Promise<boolean>): Promise<number> {
  while (!(await attempt())) {
    if (performance.now() - startedMs > LIMIT_MS) throw new Error(`no answer within ${LIMIT_MS} ms`);
    await sleep(ASK_EVERY_MS);
  }
  return performance.now() - startedMs;
}

/** Whether the socket accepts a connection now. */
export const connects = (path: string): Promise<boolean> =>
  new Promise((resolve) => {
    const socket = connect(path);
    const finish = (connected: boolean): void => {
      socket.destroy();
      resolve(connected);
    };
    socket.once('connect', () => finish(true));
    socket.once('error', () => finish(false));
  });
