import { mkdtemp, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { randomUUID } from 'node:crypto';
import {
  ContainerConfig,
  PodSandboxConfig,
  type PodSandboxConfig as PodConfig,
} from '../../generated/runtime/v1/api.js';
import { until } from '../../tools/stack/wait.js';
import type { CriClient } from './cri-client.js';
import { withOwnPids } from './sandboxer.js';
import { limitMs } from './slowness.js';
import type { TestStack } from './test-stack.js';

export const BUSYBOX = 'docker.io/library/busybox:latest';
/** Sleeps until SIGTERM, and then ends at once. */
export const SLEEP = ['sh', '-c', 'trap "exit 0" TERM; sleep 1000 & wait'];

/** The argument of `fromPartial`, with `name` as a short form of `metadata: { name }`. */
type Pod = Parameters<typeof PodSandboxConfig.fromPartial>[0] & { name?: string };
export type Container = Parameters<typeof ContainerConfig.fromPartial>[0] & { name?: string };

let count = 0;
const unique = (prefix: string): string => `${prefix}-${process.pid}-${++count}`;

/** A pod's configuration with a unique name and uid, and its own log directory in the stack's folder. */
export async function podConfig(stack: TestStack, { name = unique('pod'), ...more }: Pod = {}): Promise<PodConfig> {
  return PodSandboxConfig.fromPartial({
    ...more,
    metadata: { name, namespace: 'test', uid: randomUUID(), attempt: 0, ...more.metadata },
    log_directory: more.log_directory ?? (await mkdtemp(join(stack.dir, 'logs-'))),
    linux: withOwnPids(more.linux),
  });
}

/** A busybox container that sleeps, unless `command` is given. Its log is `NAME.log`. */
export function containerConfig({ name = unique('container'), ...more }: Container = {}): ContainerConfig {
  return ContainerConfig.fromPartial({
    ...more,
    metadata: { name, attempt: 0, ...more.metadata },
    image: more.image ?? { image: BUSYBOX },
    command: more.command ?? SLEEP,
    log_path: more.log_path ?? `${name}.log`,
    linux: withOwnPids(more.linux),
  });
}

/** A running pod, with the calls that tests make on it. */
export interface RunningPod {
  readonly id: string;
  readonly config: PodConfig;
  /** Creates and starts a container. Returns its id. */
  run(container?: Container): Promise<string>;
  create(container?: Container): Promise<string>;
  /**
   * Runs a shell script and returns the container's id once the log has the line `ready`. A script that sets a trap
   * must print it afterwards: a signal that comes earlier ends the shell.
   */
  runReady(name: string, script: string, more?: Container): Promise<string>;
  exec(containerId: string, cmd: readonly string[], timeoutSeconds?: number): Promise<ExecResult>;
  /** Returns the path of a container's log. */
  logPath(containerName: string): string;
  /** Stops and removes the pod with all its containers. */
  remove(): Promise<void>;
}

export interface ExecResult {
  readonly stdout: string;
  readonly stderr: string;
  readonly exitCode: number;
}

/** Runs a pod. The image of its containers must already be pulled. */
export async function runPod(
  cri: CriClient,
  stack: TestStack,
  pod: Pod = {},
  runtimeHandler = '',
): Promise<RunningPod> {
  const config = await podConfig(stack, pod);
  const request = { config, runtime_handler: runtimeHandler };
  const { pod_sandbox_id: id } = await cri.runtime.runPodSandbox(request);
  const create = async (container: Container = {}): Promise<string> => {
    const { container_id } = await cri.runtime.createContainer({
      pod_sandbox_id: id,
      config: containerConfig(container),
      sandbox_config: config,
    });
    return container_id;
  };
  const run = async (container?: Container): Promise<string> => {
    const containerId = await create(container);
    await cri.runtime.startContainer({ container_id: containerId });
    return containerId;
  };
  const logPath = (containerName: string): string => join(config.log_directory, `${containerName}.log`);
  return {
    id,
    config,
    create,
    run,
    async runReady(name, script, more) {
      const log = (): Promise<string> => readFile(logPath(name), 'utf8').catch(() => '');
      // The log of an earlier container of that name stays.
      const { length } = await log();
      const containerId = await run({ ...more, name, command: ['sh', '-c', script] });
      await until(`${name} is ready`, limitMs(20_000), async () =>
        /^\S+ stdout F ready$/m.test((await log()).slice(length)) ? true : undefined,
      );
      return containerId;
    },
    async exec(containerId, cmd, timeoutSeconds = 60) {
      const request = { container_id: containerId, cmd: [...cmd], timeout: BigInt(timeoutSeconds) };
      const { stdout, stderr, exit_code } = await cri.runtime.execSync(request);
      return { stdout: text(stdout), stderr: text(stderr), exitCode: exit_code };
    },
    logPath,
    async remove() {
      await cri.runtime.stopPodSandbox({ pod_sandbox_id: id });
      await cri.runtime.removePodSandbox({ pod_sandbox_id: id });
    },
  };
}

/** Removes every pod that the server lists, at the end of a test file, even if a test failed. */
export async function removeAllPods({ runtime }: CriClient): Promise<void> {
  const { items } = await runtime.listPodSandbox({});
  for (const { id } of items) {
    await runtime.stopPodSandbox({ pod_sandbox_id: id });
    await runtime.removePodSandbox({ pod_sandbox_id: id });
  }
}

export const pullImage = async ({ images }: CriClient, image = BUSYBOX): Promise<string> =>
  (await images.pullImage({ image: { image } })).image_ref;

const text = (bytes: Uint8Array): string => Buffer.from(bytes).toString();
