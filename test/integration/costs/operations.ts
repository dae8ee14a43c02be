import { setTimeout as sleep } from 'node:timers/promises';
import type { Crid } from '../../harness/crid.js';
import { BUSYBOX, containerConfig, podConfig } from '../../harness/pod.js';
import type { TestStack } from '../../harness/test-stack.js';

/** Runs one CRI call `times` times and notes what it cost. */
export type Note = (name: string, call: () => Promise<unknown>, times?: number) => Promise<void>;

/** A second layer beside that of busybox. */
const COLD = 'docker.io/crid-test/volumes:latest';
const READS = 20;
/** For the work that follows the answer of the calls between the measured ones. */
const PAUSE_MS = 300;

/** Makes each of the calls of the table on one pod with two containers, and removes the pod again. */
export async function oneLife({ runtime, images }: Crid, stack: TestStack, note: Note): Promise<void> {
  const config = await podConfig(stack, { hostname: 'costs' });
  let id = '';
  await note('RunPodSandbox', async () => {
    id = (await runtime.runPodSandbox({ config })).pod_sandbox_id;
  });
  const create = async (): Promise<string> => {
    const request = { pod_sandbox_id: id, config: containerConfig(), sandbox_config: config };
    return (await runtime.createContainer(request)).container_id;
  };
  let container_id = '';
  await note('CreateContainer', async () => {
    container_id = await create();
  });
  await note('StartContainer', () => runtime.startContainer({ container_id }));
  await note('ExecSync', () => runtime.execSync({ container_id, cmd: ['true'], timeout: 10n }));
  for (const [name, read] of Object.entries({
    Version: () => runtime.version({}),
    ListPodSandbox: () => runtime.listPodSandbox({}),
    PodSandboxStatus: () => runtime.podSandboxStatus({ pod_sandbox_id: id }),
    ListContainers: () => runtime.listContainers({}),
    ContainerStatus: () => runtime.containerStatus({ container_id }),
    ListContainerStats: () => runtime.listContainerStats({}),
    ListImages: () => images.listImages({}),
    ImageStatus: () => images.imageStatus({ image: { image: BUSYBOX } }),
  })) {
    await note(name, read, READS);
  }
  await note('StopContainer', () => runtime.stopContainer({ container_id, timeout: 10n }));
  await note('RemoveContainer', () => runtime.removeContainer({ container_id }));

  await runtime.startContainer({ container_id: await create() });
  await sleep(PAUSE_MS);
  await note('StopPodSandbox', () => runtime.stopPodSandbox({ pod_sandbox_id: id }));
  await note('RemovePodSandbox', () => runtime.removePodSandbox({ pod_sandbox_id: id }));

  await note('PullImage (warm)', () => images.pullImage({ image: { image: BUSYBOX } }));
  await note('PullImage (cold)', () => images.pullImage({ image: { image: COLD } }));
  await note('RemoveImage', () => images.removeImage({ image: { image: COLD } }));
}
