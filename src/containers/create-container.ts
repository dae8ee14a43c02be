import type {
  ContainerConfig,
  CreateContainerRequest,
  CreateContainerResponse,
} from '../../generated/runtime/v1/api.js';
import { allEnded } from '../base/all-ended.js';
import { CriError, invalidArgument, notFound } from '../base/errors.js';
import { nowNs } from '../host/syscall/clock.js';
import { ensureDirectory, ensureDirectoryNow, removeTree } from '../host/files/files.js';
import type { SnapshotMount } from '../containerd/containerd.js';
import { auditExtension } from '../nri/stored-audit.js';
import type { Caller } from '../operation/operation.js';
import type { Steps } from '../operation/steps.js';
import { buildContainerSpec } from '../spec/container-spec.js';
import { containerLogPath } from '../spec/log-path.js';
import { shownResources } from '../spec/resources.js';
import { specAny } from '../spec/spec-json.js';
import { stopSignalOf } from '../spec/stop-signal.js';
import { validateContainerConfig } from '../spec/validate/validate.js';
import { checkConfigSize } from '../state/config-size.js';
import { canonicalJson, toGoJson } from '../state/go-json.js';
import { containerRecord } from '../state/container-record.js';
import type { LocalImage } from '../state/image-cache.js';
import { controllerSpecOf, isPinned, usesHostNetwork } from '../state/pod-view.js';
import type { Container, Pod } from '../state/records.js';
import { podNotReady, requireReady } from '../state/require.js';
import { containerName } from '../state/stored.js';
import { adjustedSpec } from './adjust-spec.js';
import { annotatedBlockIo, withBlockIo } from './block-io-class.js';
import type { ContainerDeps } from './container-deps.js';
import { withImageRefs } from './image-mounts.js';
import { hasLastingMounts, prepareSnapshot } from './prepare-snapshot.js';
import { refuseRdtClass } from './rdt-class.js';
import { readRootfs } from './read-rootfs.js';
import { specInput, type FromRootfs, type Subject } from './spec-input.js';

/** As long as recovery waits for the answer of a pod's shim. */
const SHIM_WAIT_MS = 10_000;
const LIMIT_MS = 5 * 60_000;

/**
 * Creates a container: its snapshot, its OCI spec and its record (CRI CreateContainer). A retry with an equal config
 * joins the running operation, or gets the id of the created container. NOT_FOUND: no such pod, or no such image;
 * FAILED_PRECONDITION: the pod is not ready; ALREADY_EXISTS: another container has the name; INVALID_ARGUMENT names a
 * bad field.
 */
export const createContainer =
  (deps: ContainerDeps) =>
  async (request: CreateContainerRequest, caller: Caller): Promise<CreateContainerResponse> => {
    const { config } = request;
    if (!config) throw invalidArgument('config', 'must be given');
    const pod = deps.state.pods.get(request.pod_sandbox_id, 'pod_sandbox_id');
    if (!request.sandbox_config?.metadata) throw invalidArgument('sandbox_config.metadata', 'must be given');
    validateContainerConfig(config);
    const name = containerName(config.metadata!, request.sandbox_config.metadata);
    const fingerprint = fingerprintOf(config);
    checkConfigSize(config, fingerprint);
    const id = await deps.operations.run({
      kind: 'create container',
      subject: name,
      key: `container-name:${name}`,
      fingerprint: `${pod.id} ${fingerprint}`,
      caller,
      limitMs: LIMIT_MS,
      work: async (steps) => {
        await waitForShim(deps, steps, pod.id);
        const ready = readyPod(deps, pod.id);
        const taken = deps.state.containers.byName(name);
        if (taken) return sameOrTaken(taken, fingerprint);
        return create(deps, steps, ready, name, config, request.sandbox_config?.log_directory ?? '');
      },
    });
    return { container_id: id };
  };

/**
 * After a restart of crid, a pod counts as ready before crid knows the pid of its pause process, which the container
 * needs for its namespaces. If the shim stays silent, specInput fails on `pid` 0 and names the shim.
 */
async function waitForShim(deps: Pick<ContainerDeps, 'state'>, steps: Steps, podId: string): Promise<void> {
  const isKnown = (pod: Pod): boolean =>
    pod.state.phase !== 'ready' || pod.state.pid !== 0 || isPinned(pod) || givesNamespaces(pod);
  const pod = deps.state.pods.byId(podId);
  if (!pod || isKnown(pod)) return;
  await steps.step('wait for the shim of the pod', (signal) => {
    const late = AbortSignal.timeout(SHIM_WAIT_MS);
    return deps.state.pods.until(podId, isKnown, late).catch((thrown: unknown) => {
      if (signal.aborted || !late.aborted) throw thrown;
    });
  });
}

/** Whether the sandbox's controller has named all namespaces that a container joins, so that no pid is needed. */
function givesNamespaces(pod: Pod): boolean {
  const given = controllerSpecOf(pod)?.namespaces;
  const joined = ['ipc', 'uts', ...(usesHostNetwork(pod.config) ? [] : ['network' as const])] as const;
  return given !== undefined && joined.every((type) => given.has(type));
}

function readyPod(deps: Pick<ContainerDeps, 'state'>, podId: string): Pod {
  const pod = deps.state.pods.byId(podId);
  if (!pod) throw podNotReady(podId);
  return requireReady(pod);
}

function sameOrTaken(taken: Container, fingerprint: string): string {
  const same = fingerprintOf(taken.config) === fingerprint;
  if (same && taken.state.phase === 'created') return taken.id;
  const why = same ? `which is ${taken.state.phase}` : 'which has another config';
  throw new CriError('ALREADY_EXISTS', `container name "${taken.name}" is taken by "${taken.id}", ${why}`);
}

/** `image_ref` of a mount is ignored in a request, and is part of the stored config. */
const fingerprintOf = (config: ContainerConfig): string => canonicalJson(toGoJson(withImageRefs(config, () => '')));

async function create(
  deps: ContainerDeps,
  steps: Steps,
  pod: Pod,
  name: string,
  config: ContainerConfig,
  logDirectory: string,
): Promise<string> {
  const id = deps.state.newIds.make();
  const handler = deps.handlers.of(pod);
  await waitForImages(deps, steps, config);
  const image = imageOf(deps, config);
  const logPath = containerLogPath(logDirectory, config.log_path) ?? '';
  const subject = { id, pod, image, handler, config };
  const [input, [rootfs, fromRootfs]] = await Promise.all([
    specInput(deps, steps, subject),
    prepareRootfs(deps, steps, subject),
  ]);
  const facts = {
    id,
    podId: pod.id,
    config: withImageRefs(config, (index) => input.mounts[index]?.imageId ?? ''),
    imageId: image.id,
    ...imageRecord(deps, image),
  };
  const built = buildContainerSpec({ ...input, ...fromRootfs });
  const annotated = [config.metadata?.name ?? '', config.annotations, pod.config.annotations] as const;
  refuseRdtClass(deps, ...annotated);
  const { spec, audit } = await adjustedSpec(deps, steps, {
    container: facts,
    pod,
    handler,
    spec: withBlockIo(built, await annotatedBlockIo(deps, [...annotated])),
  });
  const container: Container = {
    ...facts,
    name,
    logPath,
    stopSignal: stopSignalOf(config, image.config),
    processLabel: input.selinux?.processLabel ?? '',
    snapshotter: handler.snapshotter,
    cgroupsPath: spec.linux?.cgroupsPath ?? '',
    user: fromRootfs.user,
    createdAtNs: nowNs(),
    resources: config.linux?.resources && {
      linux: shownResources(spec.linux.resources, spec.process.oomScoreAdj),
      windows: undefined,
    },
    state: { phase: 'created' },
  };
  await steps.step(
    'record container',
    async (signal) => {
      const extensions = auditExtension(audit);
      const record = containerRecord(container, pod, handler.runtime, input.imageName, specAny(spec), extensions);
      await allEnded([
        deps.statusFiles.write(container),
        deps.containerd.containers.create(record, { signal, lease: pod.id }),
      ]);
    },
    () => deps.containerd.containers.delete(id),
  );
  await deps.nri?.created(steps, container);
  // The pod may have been stopped meanwhile; from here on, its removal sees this container.
  readyPod(deps, pod.id);
  deps.processes.set(container.config, spec.process);
  if (hasLastingMounts(container.snapshotter)) deps.preparedRootfs.set(container.config, rootfs);
  deps.state.containers.put(container);
  return id;
}

/** After a restart of crid, an image of containerd's may not have been read yet. */
async function waitForImages(
  { images }: Pick<ContainerDeps, 'images'>,
  steps: Steps,
  config: ContainerConfig,
): Promise<void> {
  const wanted = [config.image, ...config.mounts.map(({ image }) => image)].flatMap((each) => each?.image || []);
  const reading = images.firstReading();
  if (!reading || wanted.every((reference) => images.get(reference))) return;
  await steps.step('wait for images', () => reading, undefined, {
    waitingOn: () => 'the images of the node to be read',
  });
}

function imageOf(deps: Pick<ContainerDeps, 'images'>, config: ContainerConfig): LocalImage {
  const reference = config.image?.image ?? '';
  if (reference === '') throw invalidArgument('config.image.image', 'must not be empty');
  const image = deps.images.get(reference);
  if (!image) throw notFound('image', reference);
  if (image.checkpointOf !== undefined) {
    const problem = `image "${reference}" is a checkpoint of the container "${image.checkpointOf}", and none is restored here`;
    throw new CriError('FAILED_PRECONDITION', `config.image.image: ${problem}`);
  }
  return image;
}

/** Returns the name and the target of the image's record that containerd's CRI plugin would choose. */
function imageRecord(
  { images }: Pick<ContainerDeps, 'images'>,
  { references }: LocalImage,
): Pick<Container, 'imageDigest' | 'imageName'> {
  const [imageName = ''] = references;
  return { imageDigest: images.entry(imageName)?.record.target.digest ?? '', imageName };
}

/**
 * Makes the container's snapshot and directories, and reads from its rootfs what the spec needs. Returns the snapshot's
 * mounts, and what was read.
 */
async function prepareRootfs(
  deps: Pick<ContainerDeps, 'accounts' | 'config' | 'containerd' | 'directories' | 'unpackImage'>,
  steps: Steps,
  subject: Subject,
): Promise<[readonly SnapshotMount[], FromRootfs]> {
  const [mounts] = await Promise.all([prepareSnapshot(deps, steps, subject), makeDirectories(deps, steps, subject.id)]);
  return [mounts, await steps.step('read rootfs', (signal) => readRootfs(deps, subject, mounts, signal))];
}

const makeDirectories = (deps: Pick<ContainerDeps, 'directories'>, steps: Steps, id: string): Promise<void> => {
  const root = deps.directories.containerRoot(id);
  const state = deps.directories.containerState(id);
  return steps.step(
    'make directories',
    () => {
      ensureDirectoryNow(state, 0o700);
      return ensureDirectory(root, 0o700);
    },
    () => removeTree([root, state]),
  );
};
