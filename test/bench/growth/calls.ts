import { ClientError, Status } from 'nice-grpc';
import type { Filled } from '../fill.js';
import type { Side } from '../side.js';

export type Call = (side: Side) => Promise<unknown>;
export type Calls = Readonly<Record<string, Call>>;

/** Calls about one pod or one container. */
export const READS: Readonly<Record<string, (side: Side, filled: Filled) => Promise<unknown>>> = {
  PodSandboxStatus: ({ runtime }, { pods }) => runtime.podSandboxStatus({ pod_sandbox_id: pods[0]!.id }),
  ContainerStatus: ({ runtime }, { containers }) => runtime.containerStatus({ container_id: containers[0]! }),
};
export const LISTS: Calls = {
  ListPodSandbox: ({ runtime }) => runtime.listPodSandbox({}),
  ListContainers: ({ runtime }) => runtime.listContainers({}),
};
export const STATS: Calls = {
  ListContainerStats: ({ runtime }) => runtime.listContainerStats({}),
  ListPodSandboxStats: ({ runtime }) => runtime.listPodSandboxStats({}),
  ListPodSandboxMetrics: ({ runtime }) => runtime.listPodSandboxMetrics({}),
};
export const STREAMS: Calls = {
  StreamPodSandboxes: ({ runtime }) => drained(runtime.streamPodSandboxes({})),
  StreamContainers: ({ runtime }) => drained(runtime.streamContainers({})),
  StreamContainerStats: ({ runtime }) => drained(runtime.streamContainerStats({})),
  StreamPodSandboxStats: ({ runtime }) => drained(runtime.streamPodSandboxStats({})),
  StreamPodSandboxMetrics: ({ runtime }) => drained(runtime.streamPodSandboxMetrics({})),
  StreamImages: ({ images }) => drained(images.streamImages({})),
};

async function drained(messages: AsyncIterable<unknown>): Promise<void> {
  for await (const _message of messages);
}

/** Splits `all` into the calls that the side supports and those that fail with UNIMPLEMENTED. */
export async function answered(all: Calls, side: Side): Promise<{ has: Calls; lacks: Calls }> {
  const [has, lacks]: [Record<string, Call>, Record<string, Call>] = [{}, {}];
  for (const [name, call] of Object.entries(all)) {
    const isThere = await call(side).then(
      () => true,
      (thrown: unknown) => {
        if (thrown instanceof ClientError && thrown.code === Status.UNIMPLEMENTED) return false;
        throw thrown;
      },
    );
    (isThere ? has : lacks)[name] = call;
  }
  return { has, lacks };
}
