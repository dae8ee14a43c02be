import { existsSync } from 'node:fs';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { createLogger } from '../../../src/base/log.js';
import { createContainerd } from '../../../src/containerd/client.js';
import type { Containerd } from '../../../src/containerd/containerd.js';
import { until } from '../../../tools/stack/wait.js';
import { run } from '../../../tools/stack/exec.js';
import { NAMESPACE } from '../../harness/leaks.js';
import type { RunningPod } from '../../harness/pod.js';
import type { TestStack } from '../../harness/test-stack.js';

const LIMIT_MS = 20_000;

/** A command that logs `ready` and waits for SIGUSR1; then it runs `commands`. */
const onUsr1 = (commands: string): string[] => [
  ...['sh', '-c'],
  `trap '${commands}' USR1; echo ready; sleep 1000 & wait; wait`,
];

/** Starts a container that waits for SIGUSR1. Returns its id once it does. */
export async function runOnUsr1(
  pod: RunningPod,
  name: string,
  commands: string,
  more: Parameters<RunningPod['run']>[0] = {},
): Promise<string> {
  const id = await pod.run({ ...more, name, command: onUsr1(commands) });
  await until(`${name} is ready`, LIMIT_MS, async () => {
    const log = await readFile(pod.logPath(name), 'utf8');
    return log.includes('ready') ? true : undefined;
  });
  return id;
}

/** Sends a signal to a process and waits for its end. */
export async function signalUntilGone(pid: number, signal: NodeJS.Signals): Promise<void> {
  process.kill(pid, signal);
  await until(`process ${pid} ends`, LIMIT_MS, () => (existsSync(`/proc/${pid}`) ? undefined : true));
}

/** Runs ctr, containerd's command line client, in the namespace of Kubernetes. */
export const ctr = ({ layout, containerd }: TestStack, ...args: string[]): Promise<string> =>
  run(join(layout.bin, 'ctr'), ['--address', containerd.socket, '--namespace', NAMESPACE, ...args]);

/** A client of containerd in the namespace of Kubernetes, for operations that `ctr` refuses. */
export const foreignClient = ({ containerd }: TestStack): Containerd =>
  createContainerd({ address: containerd.socket, namespace: NAMESPACE, log: createLogger('warn') });

/** Waits until containerd reports that the task has ended. */
export const taskStopped = (stack: TestStack, id: string): Promise<true> =>
  until(`task ${id} has stopped`, LIMIT_MS, async () => {
    const lines = (await ctr(stack, 'tasks', 'list')).split('\n');
    return lines.some((line) => line.startsWith(id) && line.includes('STOPPED')) ? true : undefined;
  });
