import { realpath } from 'node:fs/promises';
import { basename, join, relative } from 'node:path';
import { NamespaceMode, type ContainerConfig, type Device } from '../../generated/runtime/v1/api.js';
import { CriError, invalidArgument } from '../base/errors.js';
import { listDevices, statDevice, type Device as HostDevice } from '../host/files/device-nodes.js';
import { exists, namesIn } from '../host/files/files.js';
import { lookAt } from '../host/files/foreign-paths.js';
import type { Steps } from '../operation/steps.js';
import type { Handler } from '../sandboxer/handler.js';
import { requestedSeccompProfiles } from '../sandboxer/seccomp-profile.js';
import { fromRoot } from '../spec/clean-path.js';
import { containerAppArmor } from '../spec/container-spec.js';
import type { ContainerSpecInput, ResolvedDevice } from '../spec/types.js';
import type { LocalImage } from '../state/image-cache.js';
import { controllerSpecOf, podFiles } from '../state/pod-view.js';
import type { Pod } from '../state/records.js';
import { requireReady, requireRunning } from '../state/require.js';
import { cdiEdits } from './cdi-devices.js';
import type { ContainerDeps } from './container-deps.js';
import { mountImages } from './image-mounts.js';
import { resolveMounts, unansweredSource } from './resolve-mounts.js';

/** The container that is being made. */
export interface Subject {
  readonly id: string;
  readonly pod: Pod;
  readonly image: LocalImage;
  readonly handler: Handler;
  readonly config: ContainerConfig;
}

/** The part of the spec's input that comes from the files of the rootfs. */
export type FromRootfs = Pick<ContainerSpecInput, 'user' | 'volumes'>;

/** Gathers the facts of the host and the image that the spec depends on, so that building it needs no I/O. */
export async function specInput(
  deps: ContainerDeps,
  steps: Steps,
  { id, pod, image, handler, config }: Subject,
): Promise<Omit<ContainerSpecInput, keyof FromRootfs>> {
  const { pid } = requireReady(pod).state;
  if (pid === 0 && pod.sandboxSpec === undefined)
    throw new CriError('UNAVAILABLE', `the shim of pod sandbox "${pod.id}" does not answer`);
  const privileged = config.linux?.security_context?.privileged === true;
  const selinux = deps.selinux?.labels(config.linux?.security_context?.selinux_options, pod.processLabel);
  const appArmor = containerAppArmor(config.linux?.security_context, deps.host, deps.specOptions);
  const images = await mountImages(deps, steps, pod, config);
  const [mounts, devices, privilegedDevices, podMounts, seccompProfiles, cdi] = await Promise.all([
    steps.step(
      'resolve mounts',
      (signal) => resolveMounts(config.mounts, { images, mountLabel: selinux?.mountLabel ?? '', signal }),
      undefined,
      {
        waitingOn: () => unansweredSource(config.mounts) ?? 'the sources of its mounts',
      },
    ),
    config.devices.length > 0 ? steps.step('resolve devices', () => resolveDevices(config.devices)) : [],
    privileged && !handler.spec.privilegedWithoutHostDevices ? steps.step('list devices', hostDevices) : [],
    podMountsOf(deps, pod),
    requestedSeccompProfiles(steps, config.linux?.security_context, deps),
    steps.step('read CDI specs', () => cdiEdits(deps, config)),
    steps.step('ensure AppArmor profile', () => deps.appArmor.ensure(appArmor)),
  ]);
  return {
    id,
    podId: pod.id,
    podPid: pid,
    netnsPath: pod.netnsPath || undefined,
    controllerSpec: controllerSpecOf(pod),
    config,
    pod: pod.config,
    imageName: config.image?.user_specified_image || config.image?.image || '',
    image: image.config,
    mounts,
    podMounts: { ...podMounts, shm: podMounts.shm ?? '' },
    devices,
    privilegedDevices,
    targetPid: targetPid(deps, pod, config),
    seccompProfiles,
    selinux,
    cdi,
    handler: handler.spec,
    options: deps.specOptions,
    host: deps.host,
  };
}

async function resolveDevices(devices: readonly Device[]): Promise<ResolvedDevice[]> {
  const resolved = await Promise.all(
    devices.map(async (device, index) => {
      const field = `config.devices[${index}]`;
      const { host_path } = device;
      const path = fromRoot(device.container_path || host_path);
      const found = await lookAt('device', host_path, () => statDevice(host_path));
      if (!found) throw invalidArgument(`${field}.host_path`, `"${host_path}" is not a device`);
      if (found !== 'directory') return [resolvedDevice(found, path, device.permissions)];
      const [directory, below] = await lookAt('devices below', host_path, async () => {
        const real = await realpath(host_path);
        return [real, await listDevices(real)] as const;
      });
      return below.map((one) => resolvedDevice(one, join(path, relative(directory, one.path)), device.permissions));
    }),
  );
  return resolved.flat();
}

const hostDevices = async (): Promise<ResolvedDevice[]> =>
  (await listDevices('/dev')).map((device) => resolvedDevice(device, device.path, 'rwm'));

const resolvedDevice = (device: HostDevice, path: string, access: string): ResolvedDevice => ({
  path,
  type: device.type,
  major: device.major,
  minor: device.minor,
  fileMode: device.mode & 0o7777,
  uid: device.uid,
  gid: device.gid,
  access,
});

/**
 * Returns the files of the pod that exist: a pod of another CRI server may lack some. crid makes them with the pod and
 * removes them with it, so that only the first container looks.
 */
async function podMountsOf(
  { directories, podMounts }: Pick<ContainerDeps, 'directories' | 'podMounts'>,
  { id, config }: Pod,
): Promise<Partial<ContainerSpecInput['podMounts']>> {
  const known = podMounts.get(config);
  if (known) return known;
  const { hostsPath, hostnamePath, resolvConfPath, shmPath } = podFiles(directories, id, config);
  const [names, hasShm] = await Promise.all([namesIn(directories.podRoot(id)), exists(shmPath)]);
  const isThere = (path: string): boolean => names.includes(basename(path));
  const found = {
    ...(isThere(hostsPath) && { hosts: hostsPath }),
    ...(isThere(hostnamePath) && { hostname: hostnamePath }),
    ...(isThere(resolvConfPath) && { resolvConf: resolvConfPath }),
    ...(hasShm && { shm: shmPath }),
  };
  podMounts.set(config, found);
  return found;
}

function targetPid(deps: Pick<ContainerDeps, 'state'>, pod: Pod, config: ContainerConfig): number | undefined {
  const namespaces = config.linux?.security_context?.namespace_options;
  if (namespaces?.pid !== NamespaceMode.TARGET) return undefined;
  const field = 'config.linux.security_context.namespace_options.target_id';
  const target = deps.state.containers.get(namespaces.target_id, field);
  if (target.podId !== pod.id)
    throw invalidArgument(field, `container "${target.id}" is not in pod sandbox "${pod.id}"`);
  try {
    return requireRunning(target).state.pid;
  } catch (thrown) {
    throw CriError.from(thrown).prefixed(field);
  }
}
