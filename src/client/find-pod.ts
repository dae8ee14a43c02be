import { PodSandboxState, type PodSandbox, type RuntimeServiceClient } from '../../generated/runtime/v1/api.js';
import { invalidArgument } from '../base/errors.js';

/** Finds a pod by its id or a prefix of it, by `namespace/name`, or by a unique name. */
export async function findPod(
  runtime: RuntimeServiceClient,
  wanted: string,
  signal: AbortSignal,
): Promise<PodSandbox | undefined> {
  const { items } = await runtime.listPodSandbox({ filter: undefined }, { signal });
  const matches = items.filter(
    (pod) => (wanted !== '' && pod.id.startsWith(wanted)) || podName(pod) === wanted || pod.metadata?.name === wanted,
  );
  const ready = matches.filter(({ state }) => state === PodSandboxState.SANDBOX_READY);
  const [only, ...more] = ready.length > 0 ? ready : matches;
  if (only && more.length > 0)
    throw invalidArgument(
      'pod',
      `"${wanted}" matches ${more.length + 1} pods: ${[only, ...more].map(podName).join(', ')}`,
    );
  return only;
}

/** `NAMESPACE/NAME` */
export const podName = ({ metadata }: PodSandbox): string => `${metadata?.namespace}/${metadata?.name}`;
