import { randomBytes, randomUUID } from 'node:crypto';
import { mkdir } from 'node:fs/promises';
import PQueue from 'p-queue';
import { createLogger } from '../../../src/base/log.js';
import { createContainerd } from '../../../src/containerd/client.js';
import type { Containerd, ContainerRecord, SandboxRecord } from '../../../src/containerd/containerd.js';
import { createDirectories } from '../../../src/state/directories.js';
import type { Container } from '../../../src/state/records.js';
import { createStatusFiles } from '../../../src/state/status-file.js';
import { fromStoredStatus } from '../../../src/state/status-conversion.js';
import {
  containerName,
  CONTAINER_METADATA_EXTENSION,
  decodeContainerMetadata,
  decodeSandboxMetadata,
  decodeStatus,
  encodeContainerMetadata,
  encodeSandboxMetadata,
  sandboxName,
  SANDBOX_METADATA_EXTENSION,
  STATUS_EXTENSION,
  type SandboxMetadata,
} from '../../../src/state/stored.js';
import { until } from '../../../tools/stack/wait.js';
import { ContainerState } from '../../../generated/runtime/v1/api.js';
import type { Crid } from '../../harness/crid.js';
import { NAMESPACE } from '../../harness/leaks.js';
import { runPod } from '../../harness/pod.js';
import type { TestStack } from '../../harness/test-stack.js';

/** The records of a pod and its containers in containerd, without processes. */
export interface Template {
  readonly pause: ContainerRecord;
  readonly sandbox: SandboxRecord;
  /** A container that has ended, and one that was never started. */
  readonly containers: readonly ContainerRecord[];
}

const CONTAINERS_PER_POD = 4;
const AT_ONCE = 16;
const END_LIMIT_MS = 30_000;

/** Runs a pod on crid, reads its records and removes the pod. */
export async function recordsOfAPod(crid: Crid, stack: TestStack): Promise<Template> {
  const pod = await runPod(crid, stack);
  const ended = await pod.run({ command: ['sh', '-c', 'exit 0'] });
  const created = await pod.create();
  await until('the container has ended', END_LIMIT_MS, async () => {
    const { containers } = await crid.runtime.listContainers({ filter: { id: ended } });
    return containers[0]?.state === ContainerState.CONTAINER_EXITED ? true : undefined;
  });
  const template = await withContainerd(stack, async ({ containers, sandboxes }) => ({
    pause: await containers.get(pod.id),
    sandbox: await sandboxes.get(pod.id),
    containers: [await containers.get(ended), await containers.get(created)],
  }));
  await pod.remove();
  return template;
}

/** Adds `count` records of pods and containers. One of five is a pod; half of the containers have ended. */
export async function addRecords(stack: TestStack, template: Template, count: number): Promise<void> {
  const { root, state } = stack.containerd;
  const directories = createDirectories({ root, state, namespace: NAMESPACE, netnsUnderState: true });
  const files = createStatusFiles(directories, createLogger('warn'));
  const queue = new PQueue({ concurrency: AT_ONCE });
  await withContainerd(stack, async (containerd) => {
    const onePod = async (): Promise<void> => {
      const pod = await addPod(containerd, template);
      for (let index = 0; index < CONTAINERS_PER_POD; index += 1) {
        const record = template.containers[index % template.containers.length]!;
        const { id, extensions } = await containerd.containers.create(containerOf(record, pod));
        // containerd's plugin keeps the status in a file.
        await mkdir(directories.containerRoot(id), { recursive: true });
        const status = decodeStatus(extensions[STATUS_EXTENSION]!, id);
        const container = { id, createdAtNs: status.createdAt, resources: status.resources };
        await files.write({ ...container, state: fromStoredStatus(status) } as Container);
      }
    };
    await queue.addAll(Array.from({ length: count / (1 + CONTAINERS_PER_POD) }, () => onePod));
  });
}

async function addPod({ containers, sandboxes }: Containerd, { pause, sandbox }: Template): Promise<SandboxMetadata> {
  const id = newId();
  const read = decodeSandboxMetadata(sandbox.extensions['metadata']!);
  const metadata = { ...read.config.metadata!, name: `pod-${id.slice(0, 12)}`, uid: randomUUID() };
  const pod = { ...read, id, name: sandboxName(metadata), config: { ...read.config, metadata } };
  const encoded = encodeSandboxMetadata(pod);
  const labels = { ...sandbox.labels, name: pod.name };
  await sandboxes.create({ ...sandbox, id, labels, extensions: { metadata: encoded } });
  await containers.create({ ...pause, id, snapshotKey: id, extensions: { [SANDBOX_METADATA_EXTENSION]: encoded } });
  return pod;
}

function containerOf(record: ContainerRecord, pod: SandboxMetadata): ContainerRecord {
  const id = newId();
  const read = decodeContainerMetadata(record.extensions[CONTAINER_METADATA_EXTENSION]!);
  const metadata = { ...read.config.metadata!, name: `container-${id.slice(0, 12)}` };
  const container = {
    ...{ ...read, id, sandboxId: pod.id },
    name: containerName(metadata, pod.config.metadata!),
    config: { ...read.config, metadata },
  };
  return {
    ...{ ...record, id, snapshotKey: id, sandbox: record.sandbox === '' ? '' : pod.id },
    extensions: { ...record.extensions, [CONTAINER_METADATA_EXTENSION]: encodeContainerMetadata(container) },
  };
}

const newId = (): string => randomBytes(32).toString('hex');

async function withContainerd<T>(stack: TestStack, work: (containerd: Containerd) => Promise<T>): Promise<T> {
  const { socket: address } = stack.containerd;
  const containerd = createContainerd({ address, namespace: NAMESPACE, log: createLogger('warn') });
  return work(containerd).finally(() => containerd.close());
}
