import type { ContainerConfig, Mount } from '../../generated/runtime/v1/api.js';
import { because, invalidArgument, notFound } from '../base/errors.js';
import { openRootfs } from '../host/files/rootfs.js';
import type { Steps } from '../operation/steps.js';
import { remapLabels } from '../spec/user/user-namespace.js';
import { controllerSpecOf, podUserNamespace, usesHostNetwork } from '../state/pod-view.js';
import type { LocalImage } from '../state/image-cache.js';
import type { Pod } from '../state/records.js';
import type { ContainerDeps } from './container-deps.js';

export interface MountedImage {
  /** The image's id, as PullImage returns it. */
  readonly id: string;
  /** The mounted directory, with the sub path applied. */
  readonly path: string;
}

/**
 * Mounts the images of a request for its pod. Returns the image of each mount by its index. The images stay mounted
 * until the pod stops, so that other containers can use them. NOT_FOUND: no such image, or no such sub path;
 * INVALID_ARGUMENT: the sub path is not a directory. Both name the mount.
 */
export async function mountImages(
  deps: Pick<ContainerDeps, 'directories' | 'imageVolumes' | 'images' | 'state' | 'unpackImage'>,
  steps: Steps,
  pod: Pod,
  config: Pick<ContainerConfig, 'mounts'>,
): Promise<ReadonlyMap<number, MountedImage>> {
  const wanted = config.mounts.flatMap((mount, index) => (mount.image?.image ? [{ mount, index }] : []));
  if (wanted.length === 0) return new Map();
  await Promise.all(
    wanted.map(({ mount, index }) =>
      because('ImageVolumeMountFailed', () => deps.unpackImage(steps, imageOf(deps, mount, index), pod.snapshotter)),
    ),
  );
  const mountAll = async (signal: AbortSignal): Promise<ReadonlyMap<number, MountedImage>> => {
    const mounted = await Promise.all(
      wanted.map(({ mount, index }) =>
        because('ImageVolumeMountFailed', async () => {
          const image = imageOf(deps, mount, index);
          const target = await deps.imageVolumes.mount(
            {
              podId: pod.id,
              snapshotter: pod.snapshotter,
              manifest: image.target,
              chainId: image.chainId,
              labels: remapLabels(podUserNamespace(pod.config)),
              usernsPath: usernsPath(deps, pod),
            },
            signal,
          );
          return [index, { id: image.id, path: await withSubPath(target, mount.image_sub_path, index) }] as const;
        }),
      ),
    );
    return new Map(mounted);
  };
  return steps.step('mount images', mountAll, () => unmountOfStopped(deps, pod));
}

/**
 * Returns a config that says which image each mount of an image shows (`image_ref`): the name in the request may be
 * given to another image later.
 */
export const withImageRefs = (config: ContainerConfig, refOf: (index: number) => string): ContainerConfig => ({
  ...config,
  mounts: config.mounts.map((mount, index) =>
    mount.image ? { ...mount, image: { ...mount.image, image_ref: refOf(index) } } : mount,
  ),
});

/** Unmounts the images of a pod that has been stopped meanwhile: the stop itself unmounts them only once. */
async function unmountOfStopped(
  deps: Pick<ContainerDeps, 'imageVolumes' | 'state'>,
  { id, snapshotter }: Pod,
): Promise<void> {
  if (deps.state.pods.find(id, 'pod_sandbox_id')?.state.phase === 'ready') return;
  await deps.imageVolumes.removeAll(id, snapshotter);
}

function imageOf(deps: Pick<ContainerDeps, 'images'>, mount: Mount, index: number): LocalImage {
  const reference = mount.image?.image ?? '';
  const image = deps.images.get(reference);
  if (!image) throw notFound(`config.mounts[${index}].image: image`, reference);
  return image;
}

function usernsPath(deps: Pick<ContainerDeps, 'directories'>, pod: Pod): string | undefined {
  if (!podUserNamespace(pod.config)) return undefined;
  const given = controllerSpecOf(pod)?.namespaces.get('user');
  if (given !== undefined) return given;
  // On the host's network no user namespace is pinned; the pause process has it.
  if (usesHostNetwork(pod.config) && pod.state.phase === 'ready') return `/proc/${pod.state.pid}/ns/user`;
  return deps.directories.podNamespace(pod.id, 'user');
}

/**
 * Returns the real path of a sub path. A link in an image can point anywhere, so links are resolved inside the image.
 */
async function withSubPath(root: string, subPath: string, index: number): Promise<string> {
  if (subPath === '') return root;
  const field = `config.mounts[${index}].image_sub_path`;
  const rootfs = await openRootfs([{ type: 'bind', source: root, target: '', options: ['rbind', 'ro'] }]);
  try {
    const real = await rootfs.realPath(subPath);
    if (real === undefined) throw notFound(`${field}: path`, subPath);
    if ((await rootfs.stat(real))?.kind !== 'directory')
      throw invalidArgument(field, `"${subPath}" is not a directory`);
    return `${root}${real === '/' ? '' : real}`;
  } finally {
    await rootfs.close();
  }
}
