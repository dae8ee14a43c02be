import { LinuxContainerSecurityContext } from '../../generated/runtime/v1/api.js';
import type { Steps } from '../operation/steps.js';
import type { Handler } from '../sandboxer/handler.js';
import type { CreatedSandbox } from '../sandboxer/sandboxer.js';
import { requestedSeccompProfiles } from '../sandboxer/seccomp-profile.js';
import { buildSandboxSpec } from '../spec/sandbox-spec.js';
import { remapLabels } from '../spec/user/user-namespace.js';
import { resolveUser, userRequest } from '../spec/user/user.js';
import { hasController, PAUSE, PINNED, podFiles, podUserNamespace } from '../state/pod-view.js';
import type { LocalImage } from '../state/image-cache.js';
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
  deps: Pick<PodDeps, 'directories' | 'ensureImage' | 'host' | 'readPulledProfile' | 'selinux' | 'specOptions'>,
  steps: Steps,
  pod: Pod,
  handler: Handler,
  createAfter: Promise<unknown> | undefined,
): Promise<CreatedSandbox & Pick<Pod, 'processLabel' | 'cgroupsPath'>> {
  const { directories } = deps;
  const [image] = await Promise.all([
    ensurePauseImage(deps, steps, pod, handler),
    steps.step(
      'make pod files',
      // A sandbox controller makes the files that it needs itself.
      async () => (!hasController(pod) ? makePodFiles(directories, pod.id, pod.config) : undefined),
      () => removePodFiles(directories, pod.id),
    ),
  ]);
  const files = podFiles(directories, pod.id, pod.config);
  const context = pod.config.linux?.security_context;
  const user = userRequest(
    context && LinuxContainerSecurityContext.fromPartial({ ...context, run_as_username: '' }),
    image.config.config?.User ?? '',
  );
  const seccompProfiles = await requestedSeccompProfiles(steps, context, deps);
  const selinux = deps.selinux?.labels(context?.selinux_options, '');
  const spec = buildSandboxSpec({
    seccompProfiles,
    selinux,
    id: pod.id,
    pod: pod.config,
    image: image.config,
    imageName: pod.image,
    netnsPath: pod.netnsPath || undefined,
    usernsPath: pod.netnsPath === '' ? undefined : directories.podNamespace(pod.id, 'user'),
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
    spec,
    metadata: encodeSandboxMetadata(metadataOf(pod)),
    lease: pod.id,
    config: pod.config,
    netnsPath: pod.netnsPath,
    record: sandboxRecord(pod, {}),
  });
  return { ...created, processLabel: selinux?.processLabel ?? '', cgroupsPath: spec.linux?.cgroupsPath ?? '' };
}

/**
 * With `disable_pause_image_pull`, a sandbox controller sees to the image of its sandboxes, if it needs one. A pause
 * container needs it here.
 */
async function ensurePauseImage(
  deps: Pick<PodDeps, 'ensureImage'>,
  steps: Steps,
  { image, snapshotter }: Pod,
  { pullsPauseImage, sandboxer }: Handler,
): Promise<Pick<LocalImage, 'chainId' | 'config'>> {
  if (sandboxer.name === PINNED || (!pullsPauseImage && sandboxer.name !== PAUSE)) return NO_IMAGE;
  return steps.step(
    'ensure pause image',
    (signal) => deps.ensureImage(image, { snapshotter, signal, mayPull: pullsPauseImage }),
    undefined,
    { timeoutMs: PULL_LIMIT_MS },
  );
}

/** Without a pause container the spec is only crid's view of the sandbox: no program of an image runs by it. */
const NO_IMAGE = { chainId: '', config: { config: { Entrypoint: ['/pause'] } } };
