import { access } from 'node:fs/promises';
import { join } from 'node:path';
import { NamespaceMode, type ContainerConfig, type Device } from '../../generated/runtime/v1/api.js';
import { CriError, invalidArgument } from '../base/errors.js';
import type { SnapshotMount } from '../containerd/containerd.js';
import { listDevices, statDevice, type Device as HostDevice } from '../host/devices.js';
import { ensureDirectory } from '../host/paths.js';
import { openRootfs, type Rootfs } from '../host/rootfs.js';
import { readSeccompProfile } from '../host/seccomp.js';
import type { Steps } from '../operation/steps.js';
import type { Handler } from '../sandboxer/handler.js';
import { containerAppArmor } from '../spec/container-spec.js';
import { localhostSeccompPath, seccompRequest } from '../spec/seccomp.js';
import type { ContainerSpecInput, ResolvedDevice, ResolvedUser } from '../spec/types.js';
import { needsUserLookup, resolveUser, userRequest } from '../spec/user.js';
import { podFiles } from '../state/pod-view.js';
import type { LocalImage } from '../state/images.js';
import type { Pod } from '../state/records.js';
import type { ContainerDeps } from './deps.js';
import { ensureAppArmorProfile } from './apparmor.js';
import { cdiEdits } from './cdi-devices.js';
import { mountImages } from './image-mounts.js';
import { resolveMounts } from './resolve-mounts.js';

const MAX_ACCOUNT_FILE_BYTES = 16 * 1024 * 1024;

interface Subject {
  readonly id: string;
  readonly pod: Pod;
  readonly image: LocalImage;
  readonly handler: Handler;
  readonly config: ContainerConfig;
  readonly rootfs: readonly SnapshotMount[];
}

/** Gathers what the spec must know of the host, the image and the rootfs, so that building it needs no I/O. */
export async function specInput(deps: ContainerDeps, steps: Steps, subject: Subject): Promise<ContainerSpecInput> {
  const { id, pod, image, handler, config } = subject;
  if (pod.state.phase !== 'ready') throw new CriError('FAILED_PRECONDITION', `pod sandbox "${pod.id}" is not ready`);
  const files = podFiles(deps.directories, pod.id, pod.config);
  const privileged = config.linux?.security_context?.privileged === true;
  const selinux = deps.selinux?.labels(config.linux?.security_context?.selinux_options, pod.processLabel);
  const imagePaths = await mountImages(deps, steps, pod, config);
  const [mounts, fromRootfs, devices, privilegedDevices, podMounts, seccompProfile, cdi] = await Promise.all([
    steps.step(
      'resolve mounts',
      () => resolveMounts(config.mounts, { imagePaths, mountLabel: selinux?.mountLabel ?? '' }),
      undefined,
      {
        waitingOn: () => 'the sources of its mounts',
      },
    ),
    steps.step('read rootfs', () => readRootfs(deps, subject)),
    resolveDevices(config.devices),
    privileged && !handler.spec.privilegedWithoutHostDevices ? hostDevices() : [],
    existing({
      hosts: files.hostsPath,
      hostname: files.hostnamePath,
      resolvConf: files.resolvConfPath,
      shm: files.shmPath,
    }),
    readSeccompProfile(
      localhostSeccompPath(seccompRequest(config.linux?.security_context, deps.host, deps.specOptions)),
      'config.linux.security_context.seccomp.localhost_ref',
    ),
    cdiEdits(deps, config),
    ensureAppArmorProfile(containerAppArmor(config.linux?.security_context, deps.host, deps.specOptions)),
  ]);
  return {
    id,
    podId: pod.id,
    podPid: pod.state.pid,
    netnsPath: pod.netnsPath || undefined,
    config,
    pod: pod.config,
    imageName: config.image?.user_specified_image || config.image?.image || '',
    image: image.config,
    user: fromRootfs.user,
    mounts,
    podMounts: { ...podMounts, shm: podMounts.shm ?? '' },
    volumes: fromRootfs.volumes,
    devices,
    privilegedDevices,
    targetPid: targetPid(deps, pod, config),
    seccompProfile,
    selinux,
    cdi,
    handler: handler.spec,
    options: deps.specOptions,
    host: deps.host,
  };
}

/** The user by the rootfs's own passwd and group, and the VOLUMEs of the image copied out of it. */
async function readRootfs(
  deps: ContainerDeps,
  subject: Subject,
): Promise<{ user: ResolvedUser; volumes: ContainerSpecInput['volumes'] }> {
  const { config, image } = subject;
  const paths = deps.config.runtime.ignore_image_defined_volumes ? [] : volumePaths(config, image);
  const request = userRequest(config.linux?.security_context, image.config.config?.User ?? '');
  if (paths.length === 0 && !needsUserLookup(request)) {
    return { user: resolveUser({ ...request, passwd: undefined, group: undefined }), volumes: [] };
  }
  const rootfs = await openRootfs(subject.rootfs);
  try {
    const [passwd, group] = await Promise.all([readText(rootfs, '/etc/passwd'), readText(rootfs, '/etc/group')]);
    return {
      user: resolveUser({ ...request, passwd, group }),
      volumes: await copyVolumes(deps, subject.id, rootfs, paths),
    };
  } finally {
    rootfs.close();
  }
}

async function readText(rootfs: Rootfs, path: string): Promise<string | undefined> {
  const bytes = await rootfs.readFile(path, MAX_ACCOUNT_FILE_BYTES);
  return bytes === undefined ? undefined : Buffer.from(bytes).toString('utf8');
}

/** VOLUMEs of the image that the request does not mount over. */
function volumePaths(config: ContainerConfig, image: LocalImage): string[] {
  const mounted = new Set(config.mounts.map(({ container_path }) => join('/', container_path)));
  return Object.keys(image.config.config?.Volumes ?? {}).filter((path) => !mounted.has(join('/', path)));
}

async function copyVolumes(
  deps: ContainerDeps,
  id: string,
  rootfs: Rootfs,
  paths: readonly string[],
): Promise<ContainerSpecInput['volumes']> {
  const root = join(deps.directories.containerRoot(id), 'volumes');
  return Promise.all(
    paths.map(async (path, index) => {
      const hostPath = join(root, String(index));
      // One that is missing in the image, or no directory there, begins empty.
      await ensureDirectory(hostPath, 0o755);
      await rootfs.copyTree(path, hostPath);
      return { containerPath: join('/', path), hostPath };
    }),
  );
}

async function resolveDevices(devices: readonly Device[]): Promise<ResolvedDevice[]> {
  const resolved = await Promise.all(
    devices.map(async (device, index) => {
      const field = `config.devices[${index}]`;
      const found = await statDevice(device.host_path);
      if (!found) throw invalidArgument(`${field}.host_path`, `"${device.host_path}" is not a device`);
      if (found !== 'directory')
        return [resolvedDevice(found, device.container_path || device.host_path, device.permissions)];
      const below = await listDevices(device.host_path);
      return below.map((one) =>
        resolvedDevice(
          one,
          join(device.container_path || device.host_path, one.path.slice(device.host_path.length)),
          device.permissions,
        ),
      );
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

/** The files of the pod that are there: a pod of another CRI server may lack some. */
async function existing<K extends string>(paths: Record<K, string>): Promise<Partial<Record<K, string>>> {
  const found = await Promise.all(
    (Object.entries(paths) as [K, string][]).map(async ([key, path]) => {
      const there = await access(path).then(
        () => true,
        () => false,
      );
      return there ? [[key, path] as const] : [];
    }),
  );
  return Object.fromEntries(found.flat()) as Partial<Record<K, string>>;
}

function targetPid(deps: ContainerDeps, pod: Pod, config: ContainerConfig): number | undefined {
  const namespaces = config.linux?.security_context?.namespace_options;
  if (namespaces?.pid !== NamespaceMode.TARGET) return undefined;
  const field = 'config.linux.security_context.namespace_options.target_id';
  const target = deps.state.containers.get(namespaces.target_id, field);
  if (target.podId !== pod.id)
    throw invalidArgument(field, `container "${target.id}" is not in pod sandbox "${pod.id}"`);
  if (target.state.phase !== 'running')
    throw new CriError(
      'FAILED_PRECONDITION',
      `${field}: container "${target.id}" is ${target.state.phase}, not running`,
    );
  return target.state.pid;
}
