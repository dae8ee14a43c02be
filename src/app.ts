import { join } from 'node:path';
import { TracesDefinition } from '../generated/crid/v1/traces.js';
import { ImageServiceDefinition, RuntimeServiceDefinition } from '../generated/runtime/v1/api.js';
import { createDisposers, type Disposers } from './base/disposers.js';
import { CriError } from './base/errors.js';
import { installLastResort } from './base/last-resort.js';
import { liveView } from './base/live-view.js';
import { createLogger, type Logger } from './base/log.js';
import { clearSocket, socketPath } from './base/protected-socket.js';
import type { LoadedConfig } from './config/load.js';
import type { Config } from './config/schema.js';
import { createContainerd } from './containerd/client.js';
import type { Containerd } from './containerd/containerd.js';
import { createAppArmor } from './containers/apparmor.js';
import type { ContainerDeps } from './containers/container-deps.js';
import { createAccountCache } from './containers/read-user.js';
import { removeContainer } from './containers/remove-container.js';
import { createStop } from './containers/stop-container.js';
import { updateByPlugin } from './containers/update-container-resources.js';
import { createCallsUnderWay } from './cri/calls-under-way.js';
import { imageService } from './cri/image-service.js';
import { runtimeService } from './cri/runtime-service.js';
import { serve } from './cri/server.js';
import { createStartGate } from './cri/start-gate.js';
import { isProbe, isUnrecorded, tracesService } from './cri/traces-service.js';
import { createContainerEvents, type ContainerEvents } from './events/container-events.js';
import { createExits, type Exits } from './events/exits.js';
import { followEvents } from './events/follow-events.js';
import { createExitHandler } from './events/handle-exit.js';
import { clearScratch } from './host/mount/ordinary-mount.js';
import { readSelinuxContexts, selinuxEnabled } from './host/security/host-selinux.js';
import { kernelProblems } from './host/syscall/kernel.js';
import type { FdStore } from './host/systemd/fd-store.js';
import { ensureImage } from './images/ensure-image.js';
import type { ImageDeps } from './images/image-deps.js';
import { createProfileStore } from './images/profiles/profile-store.js';
import { readPulledProfile } from './images/profiles/read-pulled-profile.js';
import { createPullWatch } from './images/pull-watch.js';
import { hostsOfMirrors } from './images/registry-mirrors.js';
import { createUnpacking } from './images/unpacking.js';
import { createMetrics, type Metrics } from './metrics/metrics.js';
import { metricSources } from './metrics/sources.js';
import { createNri } from './nri/create-nri.js';
import { faultHook } from './operation/faults.js';
import { createOperations } from './operation/operation.js';
import type { StepHook } from './operation/steps.js';
import { collectNetworkGarbage } from './pods/collect-network-garbage.js';
import { createNamespaces } from './pods/namespaces.js';
import type { PodDeps } from './pods/pod-deps.js';
import { podStatusOf } from './pods/pod-sandbox-status.js';
import { readStored, recover } from './recovery/recover.js';
import { sharedNamespace, sharedNri } from './runtime/conflict.js';
import { askVersion } from './runtime/containerd-version.js';
import { createHandlerMaker } from './runtime/handlers.js';
import { hostFacts, runsSystemd } from './runtime/host-facts.js';
import { ownAlone } from './runtime/one-owner.js';
import { createReload, prepare, tellWarnings, type Reload } from './runtime/reload.js';
import { createSettings } from './runtime/settings.js';
import { specOptions } from './runtime/spec-options.js';
import { createImageVolumes } from './sandboxer/image-volumes.js';
import { withShimTurns } from './sandboxer/shim-turns.js';
import { createSelinux, type Selinux } from './sandboxer/selinux.js';
import { parseSelinuxContexts } from './spec/security/selinux-labels.js';
import { containerStatusesOf } from './state/cri-view.js';
import { createDirectories, type Directories } from './state/directories.js';
import { createImageCache, type ImageCache } from './state/image-cache.js';
import { findRunning } from './state/require.js';
import { shimNames } from './state/shim-names.js';
import { createState, type State } from './state/state.js';
import { createStatusFiles } from './state/status-file.js';
import { createStats } from './stats/create-stats.js';
import { createStdio } from './stdio/create-stdio.js';
import type { Stdio } from './stdio/stdio.js';
import { releasePipes } from './stdio/server/pipe-store.js';
import { createStreaming } from './streaming/create-streaming.js';
import { startTracers } from './tracing/tracers.js';
import { VERSION } from './version.js';

const SHUTDOWN_MS = 30_000;
/** Time for clients to receive their errors after a failed start. */
const FAILED_START_MS = 1_000;

export interface App {
  readonly path: string;
  readonly log: Logger;
  /** Takes what can change while crid runs from a new configuration. */
  readonly reload: Reload;
  /** Refuses new calls, finishes the running ones, and leaves every pod as it is. */
  stop(): Promise<void>;
}

/**
 * Listens, then creates and wires every adapter and rebuilds the state; calls that arrive meanwhile wait. Throws
 * ALREADY_EXISTS if another crid uses the socket, containerd's namespace or the state directory, and
 * FAILED_PRECONDITION if containerd is older than 2.0. A start that fails closes what it has created.
 */
export async function startApp(loaded: LoadedConfig, fdStore: FdStore): Promise<App> {
  const log = createLogger(loaded.config.crid.log_level);
  const closing = createDisposers(log);
  try {
    const base = await wireServer(loaded, fdStore, log, closing);
    // Calls that wait fail with the reason if the start fails.
    const ready = await base.gate.run(async () => {
      await wireMetrics(base);
      const ready = await wireState(base, await wireContainerd(base));
      await wireServices(base, ready);
      return ready;
    });
    return {
      path: base.server.path,
      log,
      reload: createReload({ ...base, ...ready }),
      async stop() {
        await closing.close(SHUTDOWN_MS);
        log.info('crid has stopped');
      },
    };
  } catch (thrown) {
    await closing.close(FAILED_START_MS);
    throw thrown;
  }
}

/** Takes the locks and listens. Calls wait at the gate. */
async function wireServer(loaded: LoadedConfig, fdStore: FdStore, log: Logger, closing: Disposers) {
  const settings = createSettings(loaded.config);
  const { config } = settings;
  tellWarnings(loaded, log);
  for (const warning of kernelProblems()) log.warn(warning);
  // Must come first: rebuilding the state reads and sweeps the pods of another crid that already serves on this socket.
  await clearSocket(socketPath(config.crid.listen));
  const directories = directoriesOf(config);
  const giveUp = await ownAlone(directories, { address: config.grpc.address, namespace: config.crid.namespace });
  closing.add('locks', giveUp);
  await clearScratch(directories.scratch, (path, { message }) => {
    log.warn({ path, err: message }, 'a mount of an earlier run was not removed');
  });
  const { onUnhandled } = installLastResort(log);
  const metrics = createMetrics();
  const recorded = { keep: config.crid.traced_calls, isRead: isUnrecorded, isFrequent: isProbe };
  const { tracer, recorder, ...tracers } = await startTracers(process.env, recorded, log);
  closing.add('traces', () => tracers.close());
  const underWay = createCallsUnderWay();
  const gate = createStartGate([RuntimeServiceDefinition, ImageServiceDefinition, TracesDefinition]);
  const server = await serve({
    listen: config.crid.listen,
    socketGid: config.crid.socket_gid,
    log,
    tracer,
    onCall: metrics.rpc,
    underWay,
    services: gate.services,
  });
  const registered = closing.add('server', (limitMs) => server.stop(limitMs));
  return {
    ...{ loaded, settings, config, log, closing, directories, onUnhandled, metrics, underWay, fdStore },
    ...{ gate, server, registered, recorder },
  };
}

/** The parts that exist before containerd has answered. */
type Base = Awaited<ReturnType<typeof wireServer>>;

/** Connects to containerd, starts the streaming thread, and reads the records and what host and containerd can do. */
async function wireContainerd(base: Base) {
  const { config, log, closing, directories, metrics, onUnhandled, underWay } = base;
  const shims = shimNames(config.crid.namespace);
  const client = connect(config, log, metrics, shims.describe);
  closing.add('connection to containerd', () => client.close());
  const containerd = { ...client, tasks: withShimTurns(client.tasks, shims.pinnedPodOf) };
  const starting = createStreaming({ config, log, onUnhandled, callsUnderWay: underWay.count });
  const registered = closing.add('streaming server', async () => (await starting.catch(() => undefined))?.close());
  const images = createImageCache({ containerd, config, log });
  const version = await usableVersion(containerd, config);
  const handlerMaker = createHandlerMaker({ containerd, directories, log, onPlugin: metrics.cniPlugin });
  closing.add('networks', handlerMaker.close);
  const [warnings, launchesPlugins, inForce, streaming, host, stored] = await Promise.all([
    conflicts(containerd, config, log),
    nriConflict(containerd, base.loaded, log),
    prepare({ containerd, log, handlerMaker }, base.loaded),
    starting,
    hostFacts(),
    readStored({ containerd, directories, images, log }),
  ]);
  base.settings.replace(inForce);
  return {
    ...{ shims, containerd, version, warnings, launchesPlugins, host, handlerMaker, images, stored },
    streaming: { ...streaming, registered },
  };
}

type Connected = Awaited<ReturnType<typeof wireContainerd>>;

/** Creates the state and the parts that keep it true; all are empty until the recovery. */
async function wireState(base: Base, connected: Connected) {
  const { config, log, closing, directories, metrics, onUnhandled, fdStore } = base;
  const { containerd, images } = connected;
  const statusFiles = createStatusFiles(directories, log);
  const state = createState(containerd, statusFiles);
  connected.shims.state = state;
  const stdio = createStdio({ log, onUnhandled, pipeStore: fdStore });
  closing.add('streams of containers', () => stdio.close());
  const stats = await createStats({ config, log, containerd, state });
  closing.add('statistics', () => stats.close());
  const exitHandler = createExitHandler({ log, containerd, state, stdio });
  const exits = createExits({ containerd, log, ...exitHandler });
  closing.add('watches for exits', () => exits.close());
  const following = new AbortController();
  closing.add("containerd's events", () => following.abort());
  const nri = createNri({
    ...{ config: config.nri, log, containerd, state, launchesPlugins: connected.launchesPlugins },
    version: VERSION,
    onCall: metrics.nriCall,
  });
  // Operations that run to their end still ask plugins.
  if (nri) closing.add('NRI', () => nri.close());
  const operations = createOperations({ log, hook: stepHook(metrics, faultHook(process.env['CRID_FAULT'], log)) });
  closing.add('operations', async (limitMs) => {
    const callsHaveEnded = await base.server.stop(limitMs);
    const left = await operations.drain(callsHaveEnded ? limitMs : 0);
    if (left > 0) log.warn({ operations: operations.list() }, 'operations cut off, the next start undoes them');
  });
  // Calls need all of the above until they end.
  connected.streaming.registered.raise();
  base.registered.raise();
  return {
    ...connected,
    ...{ state, statusFiles, stdio, stats, exits, operations, nri },
    /** Takes exits and OOM kills from containerd's events. */
    follow: () =>
      followEvents(
        { containerd, log, images, exits: timed(exits, metrics), onOom: exitHandler.onOom },
        following.signal,
      ),
  };
}

type Ready = Awaited<ReturnType<typeof wireState>>;

/** Rebuilds the state and opens the gate. */
async function wireServices(base: Base, ready: Ready): Promise<void> {
  const { settings, config, log, closing, directories, metrics, fdStore } = base;
  const { containerd, operations, state, images, stdio, stats, streaming, warnings } = ready;
  const events = eventsOf(state, images, metrics);
  closing.add('event streams', () => events.close());
  closing.add('readers of recorded calls', () => base.recorder?.close());
  metrics.watch(metricSources({ operations, state, images, events, stdio }));
  const { pods, containers, imageDeps, stop } = await handlerDeps(base, ready);
  const deps = { pods, containers, shared: warnings.length > 0, onSwept: metrics.swept };
  const recovery = await recover(deps, ready.stored);
  closing.add('recovery', () => recovery.close());
  releaseUnused(fdStore, stdio, state, log);
  ready.follow();
  await ready.nri?.start({ update: updateByPlugin(containers), evict: (id, caller) => stop(id, 0, caller) });
  base.gate.open([
    runtimeService({
      pods,
      containers,
      information: { stats: stats.deps, events },
      stop,
      streaming,
      status: {
        config,
        directories,
        containerd,
        network: () => settings.now().network,
        operations,
        unreadable: () => [...state.claims.list(), ...images.unreadable()],
        nriPlugins: ready.nri?.registered,
        features: () => settings.now().features,
        host: ready.host,
        warnings,
      },
      runtimeConfig: { config, systemd: await runsSystemd() },
    }),
    imageService(imageDeps),
    tracesService(base.recorder),
  ]);
  recovery.begin();
  // In a shared namespace, the other server may start pods that crid does not know.
  if (!deps.shared) {
    const networks = () => settings.now().networks;
    closing.add('garbage collection of networks', collectNetworkGarbage(pods, networks, recovery.ended()));
  }
  const socket = socketPath(config.crid.listen);
  log.info({ version: VERSION, socket, containerd: ready.version, address: config.grpc.address }, 'crid serves');
}

/** Composes what the handlers of each group of RPCs use. */
async function handlerDeps({ settings, config, log, directories }: Base, ready: Ready) {
  const { containerd, operations, state, images, exits, host, stdio, statusFiles } = ready;
  const profiles = createProfileStore(containerd);
  const shared = {
    log,
    containerd,
    operations,
    state,
    directories,
    exits,
    host,
    specOptions: specOptions(config),
    handlers: settings.handlers,
    describeShim: ready.shims.describe,
    imageVolumes: createImageVolumes({ containerd, directories }),
    readPulledProfile: readPulledProfile(profiles),
    selinux: await selinux(config, state),
  };
  const unpacking = createUnpacking({ containerd, config, operations, log });
  const containers: ContainerDeps = {
    ...shared,
    nri: ready.nri?.containers,
    config,
    images,
    stdio,
    statusFiles,
    unpackImage: unpacking.step,
    appArmor: createAppArmor(),
    accounts: createAccountCache(),
    processes: new WeakMap(),
    preparedRootfs: new WeakMap(),
    podMounts: new WeakMap(),
  };
  const mirrored = await withMirrors(config, directories);
  const imageDeps: ImageDeps = {
    ...shared,
    config: mirrored,
    images,
    unpacking,
    profiles,
    watchPull: createPullWatch(),
  };
  const stop = createStop(containers);
  const remove = removeContainer(containers);
  const pods: PodDeps = {
    ...shared,
    nri: ready.nri?.pods,
    namespaces: createNamespaces(directories),
    get pauseImage() {
      return config.images.pinned_images['sandbox'] ?? '';
    },
    ensureImage: ensureImage(imageDeps),
    killContainer: (id, caller) => stop(id, 0, caller),
    removeContainer: async (id, caller) => void (await remove({ container_id: id }, caller)),
  };
  return { pods, containers, imageDeps, stop };
}

async function wireMetrics({ config, log, closing, metrics }: Base): Promise<void> {
  const { metrics_address: address } = config.crid;
  if (address === '') return;
  // Imported only where needed: Node.js takes long to load its HTTP server.
  const { serveMetrics } = await import('./metrics/serve-metrics.js');
  const served = await serveMetrics({ address, registry: metrics.registry, log });
  closing.add('metrics', () => served.close());
}

const connect = (config: Config, log: Logger, metrics: Metrics, describeShim: (id: string) => string): Containerd =>
  createContainerd({
    address: config.grpc.address,
    namespace: config.crid.namespace,
    log,
    describeShim,
    onCall: metrics.containerdCall,
  });

/** Returns a warning, and logs it, if containerd's own CRI plugin uses the same namespace. */
async function conflicts(containerd: Containerd, config: Config, log: Logger): Promise<string[]> {
  const conflict = await sharedNamespace(containerd, config);
  if (conflict) log.warn(conflict);
  return conflict ? [conflict] : [];
}

/** Returns whether crid launches NRI plugins. Logs a warning if containerd's own CRI plugin serves NRI too. */
async function nriConflict(containerd: Containerd, loaded: LoadedConfig, log: Logger): Promise<boolean> {
  const { warning, launches } = await sharedNri(containerd, loaded);
  if (warning) log.warn(warning);
  return launches;
}

/** Throws FAILED_PRECONDITION if containerd is older than 2.0. */
async function usableVersion(containerd: Containerd, config: Config): Promise<string> {
  const { version, problem } = await askVersion(containerd, config.grpc.address);
  if (problem !== undefined) throw new CriError('FAILED_PRECONDITION', problem);
  return version;
}

/** Measures every step, and passes it on to fault injection if that is enabled. */
const stepHook = (metrics: Metrics, faults: StepHook | undefined): StepHook => ({
  before: (kind, step) => faults?.before?.(kind, step),
  after: (kind, step, outcome) => {
    metrics.steps.after(kind, step, outcome);
    return faults?.after?.(kind, step, outcome);
  },
});

/** Measures how late exits arrive through the event stream. */
const timed = (exits: Exits, metrics: Metrics): Pick<Exits, 'report'> => ({
  report(id, exit) {
    metrics.exitEvent(exit.exitedAtNs);
    exits.report(id, exit);
  },
});

/**
 * Returns undefined unless the configuration enables SELinux and the node runs it. Throws FAILED_PRECONDITION if the
 * policy has no contexts for containers.
 */
async function selinux(config: Config, state: State): Promise<Selinux | undefined> {
  if (!config.runtime.enable_selinux || !selinuxEnabled()) return undefined;
  const contexts = parseSelinuxContexts((await readSelinuxContexts()) ?? '');
  if (!contexts)
    throw new CriError('FAILED_PRECONDITION', 'enable_selinux: the SELinux policy has no contexts for containers');
  return createSelinux({ contexts, categories: config.runtime.selinux_category_range, state });
}

const directoriesOf = (config: Config): Directories =>
  createDirectories({
    root: config.root,
    state: config.state,
    namespace: config.crid.namespace,
    netnsUnderState: config.runtime.netns_mounts_under_state_dir,
  });

/** Returns the configuration of pulls: mirrors, which stay as they are until a restart, are hosts.toml files. */
async function withMirrors(config: Config, { state }: Directories): Promise<Config> {
  const config_path = await hostsOfMirrors(config.images.registry, join(state, 'registry-mirrors'));
  if (Object.keys(config.images.registry.mirrors).length === 0) return config;
  return liveView(Object.keys(config) as (keyof Config)[], () => {
    const { images } = config;
    return { ...config, images: { ...images, registry: { ...images.registry, config_path } } };
  });
}

const eventsOf = (state: State, images: ImageCache, metrics: Metrics): ContainerEvents =>
  createContainerEvents({
    state,
    onCutOff: metrics.subscriberCutOff,
    describe: (pod) => ({
      pod_sandbox_status: podStatusOf(pod),
      containers_statuses: containerStatusesOf(state.containersOf(pod.id), images),
    }),
  });

/**
 * Releases stored pipes of containers that are gone. It keeps those of running ones: a slow shim may get its streams
 * reopened later.
 */
function releaseUnused(fdStore: FdStore, stdio: Pick<Stdio, 'of'>, state: State, log: Logger): void {
  const mayRun = (id: string): boolean => stdio.of(id) !== undefined || findRunning(state, id) !== undefined;
  for (const id of fdStore.names) if (!mayRun(id)) releasePipes(fdStore, id, log);
}
