import { rm } from 'node:fs/promises';
import { join } from 'node:path';
import { until as waitUntil } from '../../tools/stack/wait.js';
import { kubeletGet, type ContainerStatus, type Pod, type PodStatus } from '../harness/kubelet-api.js';
import { parseEvents, type PodEvent } from '../harness/kubelet-log.js';
import type { CriClient } from '../harness/cri-client.js';
import { NODE, type Kubelet } from '../harness/kubelet.js';
import { limitMs } from '../harness/slowness.js';

/** A static pod, through the kubelet and crid. */
export interface PodHandle {
  /** The pod's name including the node's name, which the kubelet appends. */
  readonly name: string;
  status(): Promise<PodStatus>;
  /** Polls the status until `look` returns a value other than undefined, and returns that value. */
  until<T>(what: string, look: (status: PodStatus) => T | undefined): Promise<T>;
  /** Waits until every container is ready. */
  ready(): Promise<PodStatus>;
  /** The same for the status of one container of any kind. */
  container<T>(name: string, what: string, look: (container: ContainerStatus) => T | undefined): Promise<T>;
  /** Returns the id of a running container. */
  id(container: string): Promise<string>;
  log(container: string, query?: string): Promise<string>;
  /** Waits until a container has logged a line that matches. Returns the whole log. */
  logged(container: string, pattern: RegExp, query?: string): Promise<string>;
  /** Runs a shell script in a container and returns its output. */
  run(container: string, script: string): Promise<string>;
  events(): Promise<PodEvent[]>;
  /** Waits for an event of the kubelet about this pod. */
  event(reason: string, message?: RegExp): Promise<PodEvent>;
  /** Removes the manifest. */
  removeManifest(): Promise<void>;
}

const LIMIT_MS = 120_000;
const EVERY_MS = 300;
const EXEC_LIMIT_SECONDS = 60n;

/** The kubelet and the CRI server of a pod. */
export interface PodNode {
  readonly kubelet: Pick<Kubelet, 'manifests' | 'url' | 'log'>;
  /** Returns the pods that the kubelet knows. */
  pods(): Promise<Pod[]>;
  runtime(): CriClient['runtime'];
}

export function podHandle(node: PodNode, manifest: string): PodHandle {
  const name = `${manifest}-${NODE}`;
  const find = async (): Promise<PodStatus | undefined> =>
    (await node.pods()).find(({ metadata }) => metadata.name === name)?.status;
  const status = async (): Promise<PodStatus> => (await find()) ?? {};

  async function until<T>(what: string, look: (status: PodStatus) => T | undefined): Promise<T> {
    let last: PodStatus = {};
    const ask = async (): Promise<T | undefined> => look((last = await status()));
    return waitUntil(`pod ${name}: ${what}`, limitMs(LIMIT_MS), ask, EVERY_MS).catch((cause: unknown) => {
      throw new Error(`pod ${name}: ${what}: ${JSON.stringify(last)}`, { cause });
    });
  }
  const container: PodHandle['container'] = (wanted, what, look) =>
    until(`${wanted}: ${what}`, (now) => {
      const found = allContainers(now).find((each) => each.name === wanted);
      return found && look(found);
    });
  const id = (wanted: string): Promise<string> =>
    container(wanted, 'runs', ({ state, containerID }) =>
      state?.running ? containerID?.replace(/^.*\/\//, '') : undefined,
    );
  const log = (wanted: string, query = ''): Promise<string> =>
    kubeletGet(node.kubelet.url, `/containerLogs/default/${name}/${wanted}${query}`);
  const events = async (): Promise<PodEvent[]> =>
    parseEvents(await node.kubelet.log()).filter(({ object }) => object === `default/${name}`);

  return {
    name,
    status,
    until,
    ready: () =>
      until('is ready', (now) =>
        now.phase === 'Running' && now.conditions?.some(({ type, status: is }) => type === 'Ready' && is === 'True')
          ? now
          : undefined,
      ),
    container,
    id,
    log,
    logged: (wanted, pattern, query) =>
      waitUntil(
        `${name}/${wanted} logs ${pattern.source}`,
        limitMs(LIMIT_MS),
        async () => {
          const text = await log(wanted, query);
          if (!pattern.test(text)) throw new Error(text);
          return text;
        },
        EVERY_MS,
      ),
    async run(wanted, script) {
      const request = { container_id: await id(wanted), cmd: ['sh', '-c', script], timeout: EXEC_LIMIT_SECONDS };
      const { stdout, stderr, exit_code: code } = await node.runtime().execSync(request);
      if (code !== 0) throw new Error(`${script}: ${code} ${Buffer.from(stderr).toString()}`);
      return Buffer.from(stdout).toString();
    },
    events,
    event: (reason, message = /(?:)/) =>
      waitUntil(
        `event ${reason} of ${name}`,
        limitMs(LIMIT_MS),
        async () => (await events()).find((event) => event.reason === reason && message.test(event.message)),
        EVERY_MS,
      ),
    removeManifest: () => rm(join(node.kubelet.manifests, `${manifest}.json`)),
  };
}

export const allContainers = ({ initContainerStatuses = [], containerStatuses = [] }: PodStatus): ContainerStatus[] => [
  ...initContainerStatuses,
  ...containerStatuses,
];
