import { access, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { setImmediate as nextTurn, setTimeout as sleep } from 'node:timers/promises';
import { defaultConfig, type Config } from '../../../src/config/schema.js';
import { createAppArmor } from '../../../src/containers/apparmor.js';
import type { ContainerDeps } from '../../../src/containers/container-deps.js';
import { createAccountCache } from '../../../src/containers/read-user.js';
import { createContainer } from '../../../src/containers/create-container.js';
import { removeContainer } from '../../../src/containers/remove-container.js';
import { startContainer } from '../../../src/containers/start-container.js';
import { createStop, stopContainer } from '../../../src/containers/stop-container.js';
import { updateByPlugin, updateContainerResources } from '../../../src/containers/update-container-resources.js';
import { createExits } from '../../../src/events/exits.js';
import { createExitHandler } from '../../../src/events/handle-exit.js';
import { ensureImage } from '../../../src/images/ensure-image.js';
import { createProfileStore } from '../../../src/images/profiles/profile-store.js';
import { readPulledProfile } from '../../../src/images/profiles/read-pulled-profile.js';
import { createPullWatch } from '../../../src/images/pull-watch.js';
import { createUnpacking } from '../../../src/images/unpacking.js';
import { createNriHooks } from '../../../src/nri/create-hooks.js';
import { createStoredSpecs } from '../../../src/nri/stored-specs.js';
import type { Plugins } from '../../../src/nri/port.js';
import { createOperations } from '../../../src/operation/operation.js';
import type { Namespaces } from '../../../src/pods/namespaces.js';
import type { PodDeps } from '../../../src/pods/pod-deps.js';
import { removePodSandbox } from '../../../src/pods/remove-pod-sandbox.js';
import { runPodSandbox } from '../../../src/pods/run-pod-sandbox.js';
import { updatePodSandboxResources } from '../../../src/pods/update-pod-sandbox-resources.js';
import { stopPodSandbox } from '../../../src/pods/stop-pod-sandbox.js';
import { readStored, recover, type Recovery } from '../../../src/recovery/recover.js';
import type { Handler, Handlers } from '../../../src/sandboxer/handler.js';
import { createControllerSandboxer } from '../../../src/sandboxer/controller-sandboxer.js';
import { createImageVolumes } from '../../../src/sandboxer/image-volumes.js';
import { createPauseSandboxer } from '../../../src/sandboxer/pause-sandboxer.js';
import { createPinnedSandboxer, type Bindings } from '../../../src/sandboxer/pinned-sandboxer.js';
import { createDirectories, type Directories } from '../../../src/state/directories.js';
import { createImageCache } from '../../../src/state/image-cache.js';
import { isPinned, PINNED } from '../../../src/state/pod-view.js';
import { createState, type State } from '../../../src/state/state.js';
import { createStatusFiles } from '../../../src/state/status-file.js';
import { silent } from '../../unit/containerd/fake-containerd.js';
import { HANDLER, HOST, OPTIONS } from '../../unit/spec/inputs.js';
import type { MemoryClient } from '../memory-containerd/memory-containerd.js';
import { createStepControl, type Moment, type StepControl } from './hooks.js';
import type { MemoryNetwork } from './network.js';
import { memoryStdio } from './stdio.js';

export const SNAPSHOTTER = 'overlayfs';
/** The runtime handler of pods that a sandbox controller runs. */
export const CONTROLLED = 'vm';

/** The operations of a crid on an in-memory node, with what a test sees of it and does to it. */
export interface MemoryCrid {
  readonly runPodSandbox: ReturnType<typeof runPodSandbox>;
  readonly stopPodSandbox: ReturnType<typeof stopPodSandbox>;
  readonly removePodSandbox: ReturnType<typeof removePodSandbox>;
  readonly createContainer: ReturnType<typeof createContainer>;
  readonly startContainer: ReturnType<typeof startContainer>;
  readonly stopContainer: ReturnType<typeof stopContainer>;
  readonly removeContainer: ReturnType<typeof removeContainer>;
  readonly updateContainerResources: ReturnType<typeof updateContainerResources>;
  readonly updatePodSandboxResources: ReturnType<typeof updatePodSandboxResources>;
  readonly state: State;
  /** The phases of pods and containers, by id, from when the recovery lets the first call through. */
  readonly firstPhases: ReadonlyMap<string, string>;
  readonly steps: StepControl;
  /** The calls that have reached containerd, in order. */
  readonly calls: readonly string[];
  /** Resolves when no operation runs. */
  idle(): Promise<void>;
  /** Starts `work` and cuts crid off at a moment of it, as kill -9 does. */
  killAt(moment: Moment, work: () => Promise<unknown>): Promise<void>;
  /** Ends the watches and, after a kill, the operations that hang. */
  close(): Promise<void>;
}

export interface NodeParts {
  readonly directory: string;
  readonly pauseImage: string;
  readonly network: MemoryNetwork;
  readonly namespaces: (directories: Directories) => Namespaces;
  /** The plugins of NRI; undefined when it is off. */
  readonly plugins?: Plugins | undefined;
}

/** Starts a crid on the in-memory containerd and runs its recovery, which `killAt` may cut off. */
export async function startMemoryCrid(
  containerd: MemoryClient,
  node: NodeParts,
  killAt: Moment | undefined,
): Promise<MemoryCrid> {
  const steps = createStepControl(join(node.directory, 'faults'), log);
  const { pods, containers, stop, remove } = wire(containerd, node, steps);
  const { operations, state, exits } = containers;
  const { connection } = containerd;
  const idle = (): Promise<void> => until('no operation runs', () => operations.list().length === 0);
  const cutOff = async (moment: Moment, work: () => Promise<unknown>): Promise<void> => {
    const cut = steps.cut(moment, connection.cut);
    const finished = work().then(
      () => 'finished',
      (thrown: unknown) => thrown,
    );
    const first = await Promise.race([cut, finished]);
    if (first !== undefined) throw new Error(`${moment.kind} did not come to "${moment.step}"`, { cause: first });
    await fileSystemCallsEnd();
  };
  const firstPhases = new Map<string, string>();
  let recovery: Recovery | undefined;
  const begin = async (): Promise<void> => {
    recovery = await recover({ pods, containers, shared: false }, await readStored(containers));
    for (const each of [...state.pods.list(), ...state.containers.list()]) firstPhases.set(each.id, each.state.phase);
    recovery.begin();
    await idle();
  };
  await (killAt ? cutOff(killAt, begin) : begin());

  return {
    runPodSandbox: runPodSandbox(pods),
    stopPodSandbox: stopPodSandbox(pods),
    removePodSandbox: removePodSandbox(pods),
    createContainer: createContainer(containers),
    startContainer: startContainer(containers),
    stopContainer: stopContainer(containers, stop),
    removeContainer: remove,
    updateContainerResources: updateContainerResources(containers),
    updatePodSandboxResources: updatePodSandboxResources(pods),
    state,
    firstPhases,
    steps,
    calls: connection.log,
    idle,
    killAt: cutOff,
    async close() {
      connection.end();
      steps.end();
      exits.close();
      recovery?.close();
      await operations.drain(LIMIT_MS);
    },
  };
}

const log = silent;

/** Composes what the operations use, as the composition root does (src/app.ts). */
function wire(containerd: MemoryClient, node: NodeParts, { hook }: StepControl) {
  const config: Config = {
    ...defaultConfig(),
    root: join(node.directory, 'root'),
    state: join(node.directory, 'state'),
  };
  const directories = createDirectories({ ...config, namespace: containerd.namespace, netnsUnderState: true });
  const operations = createOperations({ log, hook });
  const statusFiles = createStatusFiles(directories, log);
  const state = createState(containerd, statusFiles);
  const images = createImageCache({ containerd, config, log });
  const stdio = memoryStdio(log);
  const unpacking = createUnpacking({ containerd, config, operations, log });
  const profiles = createProfileStore(containerd);
  const shared = {
    log,
    containerd,
    operations,
    state,
    directories,
    exits: createExits({ containerd, log, ...createExitHandler({ log, containerd, state, stdio }) }),
    host: HOST,
    specOptions: OPTIONS,
    handlers: handlersOf(containerd, node, directories),
    describeShim: () => 'shim',
    imageVolumes: createImageVolumes({ containerd, directories }),
    readPulledProfile: readPulledProfile(profiles),
    selinux: undefined,
  };
  const nri =
    node.plugins &&
    createNriHooks({
      ...shared,
      plugins: node.plugins,
      specs: createStoredSpecs(containerd),
      others: {
        update: (id, resources) => updateByPlugin(containers)(id, resources, {}),
        evict: (id) => stop(id, 0, {}),
      },
    });
  const containers: ContainerDeps = {
    ...shared,
    nri: nri?.containers,
    stdio,
    config,
    images,
    statusFiles,
    unpackImage: unpacking.step,
    appArmor: createAppArmor(),
    accounts: createAccountCache(),
    processes: new WeakMap(),
    preparedRootfs: new WeakMap(),
    podMounts: new WeakMap(),
  };
  const stop = createStop(containers);
  const remove = removeContainer(containers);
  const pods: PodDeps = {
    ...shared,
    nri: nri?.pods,
    namespaces: node.namespaces(directories),
    pauseImage: node.pauseImage,
    ensureImage: ensureImage({ ...shared, config, images, unpacking, profiles, watchPull: createPullWatch() }),
    killContainer: (id, caller) => stop(id, 0, caller),
    removeContainer: async (id, caller) => void (await remove({ container_id: id }, caller)),
  };
  return { pods, containers, stop, remove };
}

const LIMIT_MS = 10_000;

/** Resolves once the condition holds. */
export async function until(what: string, isTrue: () => boolean): Promise<void> {
  for (const endMs = performance.now() + LIMIT_MS; !isTrue(); await sleep(1)) {
    if (performance.now() > endMs) throw new Error(`not within ${LIMIT_MS / 1000} s: ${what}`);
  }
}

/** Resolves when no call of this process to the file system is under way, as when a killed process has ended. */
async function fileSystemCallsEnd(): Promise<void> {
  const isUnderWay = (): boolean => process.getActiveResourcesInfo().some((name) => name.startsWith('FSReq'));
  // The end of one call may begin the next.
  for (let quiet = 0; quiet < QUIET_TURNS; quiet = isUnderWay() ? 0 : quiet + 1) await nextTurn();
}

const QUIET_TURNS = 5;

/** Files in the place of the bindings of namespaces. */
const plainBindings: Bindings = {
  isOpen: (path) =>
    access(path).then(
      () => true,
      () => false,
    ),
  removeAll: (directory) => rm(directory, { recursive: true, force: true }),
  writeSysctls: () => Promise.resolve(),
};

function handlersOf(containerd: MemoryClient, { directory, network }: NodeParts, directories: Directories): Handlers {
  const handler: Handler = {
    name: 'runc',
    runtime: { name: 'io.containerd.runc.v2' },
    runtimePath: '',
    snapshotter: SNAPSHOTTER,
    sandboxer: createPauseSandboxer(containerd),
    pullsPauseImage: true,
    network,
    userNamespaces: false,
    spec: HANDLER,
    // A directory that does not exist: the runtime has no container.
    ociRuntime: { program: 'runc', root: join(directory, 'runc') },
  };
  const controlled: Handler = {
    ...handler,
    ociRuntime: undefined,
    sandboxer: createControllerSandboxer('vm', containerd),
  };
  const pinned: Handler = { ...handler, sandboxer: createPinnedSandboxer(directories, plainBindings) };
  const get = (name: string): Handler => ({ [CONTROLLED]: controlled, [PINNED]: pinned })[name] ?? handler;
  return {
    get,
    forPod: get,
    of: ({ sandboxer }) => (sandboxer === undefined ? handler : isPinned({ sandboxer }) ? pinned : controlled),
  };
}
