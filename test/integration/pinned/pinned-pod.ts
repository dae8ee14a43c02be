import { NamespaceMode } from '../../../generated/runtime/v1/api.js';
import type { CriClient } from '../../harness/cri-client.js';
import { runPod, type Container, type RunningPod } from '../../harness/pod.js';
import type { TestStack } from '../../harness/test-stack.js';

/** crid's configuration with a default handler whose pods have no sandbox process. */
export const PINNED_CONFIG = { runtime: { containerd: { runtimes: { runc: { sandboxer: 'pinned' } } } } };

type Pod = NonNullable<Parameters<typeof runPod>[2]>;

/** Adds a process namespace for each container, as a kubelet asks, unless another mode is given. */
export function ownPids<T extends Pod | Container>(config: T): T {
  const context = config.linux?.security_context;
  const namespace_options = { pid: NamespaceMode.CONTAINER, ...context?.namespace_options };
  return { ...config, linux: { ...config.linux, security_context: { ...context, namespace_options } } };
}

/** Runs a pod whose containers have process namespaces of their own. */
export async function pinnedPod(cri: CriClient, stack: TestStack, pod: Pod = {}): Promise<RunningPod> {
  const running = await runPod(cri, stack, ownPids(pod));
  return {
    ...running,
    run: (container = {}) => running.run(ownPids(container)),
    create: (container = {}) => running.create(ownPids(container)),
    runReady: (name, script, more = {}) => running.runReady(name, script, ownPids(more)),
  };
}

interface PodInfo {
  readonly pid: number;
  readonly sandboxer: string;
  readonly processStatus: string;
  readonly netNamespaceClosed: boolean;
}

export async function podInfo({ runtime }: CriClient, id: string): Promise<PodInfo> {
  const { info } = await runtime.podSandboxStatus({ pod_sandbox_id: id, verbose: true });
  return JSON.parse(info['info'] ?? '') as PodInfo;
}
