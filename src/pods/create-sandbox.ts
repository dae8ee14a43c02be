import { LinuxContainerSecurityContext } from '../../generated/runtime/v1/api.js';
import type { Steps } from '../operation/steps.js';
import type { Handler } from '../sandboxer/handler.js';
import type { CreatedSandbox } from '../sandboxer/sandboxer.js';
import { requestedSeccompProfile } from '../sandboxer/seccomp-profile.js';
import { buildSandboxSpec } from '../spec/sandbox-spec.js';
import { specAny } from '../spec/spec-json.js';
import { remapLabels } from '../spec/user/user-namespace.js';
import { resolveUser, userRequest } from '../spec/user/user.js';
import { podFiles, podUserNamespace } from '../state/pod-view.js';
import { KIND_LABEL } from '../state/labels.js';
import type { Pod } from '../state/records.js';
import { encodeSandboxMetadata } from '../state/stored.js';
import type { PodDeps } from './pod-deps.js';
import { makePodFiles, removePodFiles } from './pod-files.js';
import { metadataOf, sandboxRecord } from './pod-records.js';

/** A pull may take as long as the whole operation. */
const PULL_LIMIT_MS = 10 * 60_000;

/** Makes the sandbox's files, and its process once `createAfter` has resolved; the process is not started yet. */
export async function createSandbox(
  deps: Pick<PodDeps, 'directories' | 'ensureImage' | 'host' | 'selinux' | 'specOptions'>,
  steps: Steps,
  pod: Pod,
  handler: Handler,
  createAfter: Promise<unknown> | undefined,
): Promise<CreatedSandbox & Pick<Pod, 'processLabel' | 'cgroupsPath'>> {
  const { directories } = deps;
  const [image] = await Promise.all([
    steps.step(
      'ensure pause image',
      (signal) => deps.ensureImage(pod.image, { snapshotter: pod.snapshotter, signal }),
      undefined,
      { timeoutMs: PULL_LIMIT_MS },
    ),
    steps.step(
      'make pod files',
      // A sandbox controller makes the files that it needs itself.
      async () => (pod.sandboxer === undefined ? makePodFiles(directories, pod.id, pod.config) : undefined),
      () => removePodFiles(directories, pod.id),
    ),
  ]);
  const files = podFiles(directories, pod.id, pod.config);
  const context = pod.config.linux?.security_context;
  const user = userRequest(
    context && LinuxContainerSecurityContext.fromPartial({ ...context, run_as_username: '' }),
    image.config.config?.User ?? '',
  );
  const seccompProfile = await requestedSeccompProfile(steps, context, deps);
  const selinux = deps.selinux?.labels(context?.selinux_options, '');
  const spec = buildSandboxSpec({
    seccompProfile,
    selinux,
    id: pod.id,
    pod: pod.config,
    image: image.config,
    imageName: pod.image,
    netnsPath: pod.netnsPath || undefined,
    usernsPath: pod.netnsPath === '' ? undefined : directories.podUserns(pod.id),
    // Without a hostname the new namespace begins with the node's.
    hostname: pod.config.hostname,
    shmPath: files.shmPath,
    resolvConfPath: files.resolvConfPath,
    // A pause image has no passwd: its user, like the pod's, is a number.
    user: resolveUser({ ...user, passwd: undefined, group: undefined }),
    handler: handler.spec,
    options: deps.specOptions,
    host: deps.host,
  });
  await createAfter;
  const created = await handler.sandboxer.create(steps, {
    id: pod.id,
    runtime: pod.runtime,
    runtimePath: handler.runtimePath,
    ociRuntime: handler.ociRuntime,
    snapshotter: pod.snapshotter,
    snapshotLabels: remapLabels(podUserNamespace(pod.config)),
    labels: { ...pod.config.labels, [KIND_LABEL]: 'sandbox' },
    image: { chainId: image.chainId, name: pod.image },
    spec: specAny(spec),
    metadata: encodeSandboxMetadata(metadataOf(pod)),
    lease: pod.id,
    config: pod.config,
    netnsPath: pod.netnsPath,
    record: sandboxRecord(pod, {}),
  });
  return { ...created, processLabel: selinux?.processLabel ?? '', cgroupsPath: spec.linux?.cgroupsPath ?? '' };
}
