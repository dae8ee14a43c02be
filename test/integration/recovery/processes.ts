import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { createLogger } from '../../../src/base/log.js';
import { createContainerd } from '../../../src/containerd/client.js';
import type { Containerd } from '../../../src/containerd/containerd.js';
import { until } from '../../../tools/stack/wait.js';
import { run } from '../../../tools/stack/exec.js';
import { NAMESPACE } from '../../harness/leaks.js';
import type { Container, RunningPod } from '../../harness/pod.js';
import type { TestStack } from '../../harness/test-stack.js';

const LIMIT_MS = 20_000;

/** Starts a container that runs `commands` on SIGUSR1. Returns its id once it waits for the signal. */
export const runOnUsr1 = (pod: RunningPod, name: string, commands: string, more?: Container): Promise<string> =>
  pod.runReady(name, `trap '${commands}' USR1; echo ready; sleep 1000 & wait; wait`, more);

/** Sends a signal to a process and waits for its end. */
export async function signalUntilGone(pid: number, signal: NodeJS.Signals): Promise<void> {
  process.kill(pid, signal);
  await until(`process ${pid} ends`, LIMIT_MS, () => (existsSync(`/proc/${pid}`) ? undefined : true));
}

/** Runs ctr, containerd's command line client, in the namespace of Kubernetes. */
export const ctr = ({ layout, containerd }: TestStack, ...args: string[]): Promise<string> =>
  run(join(layout.containerdBin, 'ctr'), ['--address', containerd.socket, '--namespace', NAMESPACE, ...args]);

/** A client of containerd in the namespace of Kubernetes, for operations that `ctr` refuses. */
export const foreignClient = ({ containerd }: TestStack): Containerd =>
  createContainerd({ address: containerd.socket, namespace: NAMESPACE, log: createLogger('warn') });

/** Waits until containerd reports that the task has ended. */
export const taskStopped = (stack: TestStack, id: string): Promise<true> =>
  until(`task ${id} has stopped`, LIMIT_MS, async () => {
    const lines = (await ctr(stack, 'tasks', 'list')).split('\n');
    return lines.some((line) => line.startsWith(id) && line.includes('STOPPED')) ? true : undefined;
  });
