import { ImageServiceDefinition, RuntimeServiceDefinition } from '../generated/runtime/v1/api.js';
import { createDisposers, type Disposers } from './base/disposers.js';
import { CriError } from './base/errors.js';
import { installLastResort } from './base/last-resort.js';
import { createLogger, type Logger } from './base/log.js';
import { loadBaseSpecs } from './config/load-base-spec.js';
import type { LoadedConfig } from './config/load.js';
import { notHonoured } from './config/not-honoured.js';
import type { Config } from './config/schema.js';
import { createContainerd } from './containerd/client.js';
import type { Containerd } from './containerd/containerd.js';
import type { ContainerDeps } from './containers/container-deps.js';
import { removeContainer } from './containers/remove-container.js';
import { createStop } from './containers/stop-container.js';
import { createCallsUnderWay } from './cri/calls-under-way.js';
import { imageService } from './cri/image-service.js';
import { runtimeService } from './cri/runtime-service.js';
import { serve } from './cri/server.js';
import { clearSocket, socketPath } from './cri/socket.js';
import { createStartGate } from './cri/start-gate.js';
import { createContainerEvents, type ContainerEvents } from './events/container-events.js';
import { createExits, type Exits } from './events/exits.js';
import { followEvents } from './events/follow-events.js';
import { createExitHandler } from './events/handle-exit.js';
import { createShimStates } from './host/process/shim-state.js';
import { readSelinuxContexts, selinuxEnabled } from './host/security/host-selinux.js';
import { kernelProblems } from './host/syscall/kernel.js';
import type { FdStore } from './host/systemd/fd-store.js';
import { ensureImage } from './images/ensure-image.js';
import type { ImageDeps } from './images/image-deps.js';
import { createUnpacking } from './images/unpacking.js';
import { createMetrics, type Metrics } from './metrics/metrics.js';
import { serveMetrics } from './metrics/serve-metrics.js';
import { metricSources } from './metrics/sources.js';
import { faultHook } from './operation/faults.js';
import { createOperations } from './operation/operation.js';
import type { StepHook } from './operation/steps.js';
import { createNamespaces } from './pods/namespaces.js';
import type { PodDeps } from './pods/pod-deps.js';
import { podStatusOf } from './pods/pod-sandbox-status.js';
import { readStored, recover } from './recovery/recover.js';
import { sharedNamespace } from './runtime/conflict.js';
import { askVersion } from './runtime/containerd-version.js';
import { handlerFeatures } from './runtime/features.js';
import { createHandlers } from './runtime/handlers.js';
import { hostFacts, runsSystemd } from './runtime/host-facts.js';
import { ownAlone } from './runtime/one-owner.js';
import { createImageVolumes } from './sandboxer/image-volumes.js';
import { createSelinux, type Selinux } from './sandboxer/selinux.js';
import { parseSelinuxContexts } from './spec/security/selinux-labels.js';
import type { SpecOptions } from './spec/types.js';
import { containerStatusesOf } from './state/cri-view.js';
import { createDirectories, type Directories } from './state/directories.js';
import { createImageCache, type ImageCache } from './state/image-cache.js';
import { createState, type State } from './state/state.js';
import { createStatusFiles } from './state/status-file.js';
import { createStats } from './stats/create-stats.js';
import { createStdio } from './stdio/create-stdio.js';
import type { Stdio } from './stdio/stdio.js';
import { releasePipes } from './stdio/server/pipe-store.js';
import { createStreaming } from './streaming/create-streaming.js';
import { startTracing } from './tracing/otlp.js';
import { VERSION } from './version.js';

const SHUTDOWN_MS = 30_000;
/** Time for clients to receive their errors after a failed start. */
const FAILED_START_MS = 1_000;

export interface App {
  readonly path: string;
  readonly log: Logger;
  /** Sets the log level from now on. */
  setLogLevel(level: Config['crid']['log_level']): void;
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
    await base.gate.run(async () => wireServices(base, await wireState(base, await wireContainerd(base))));
    await wireMetrics(base);
    return {
      path: base.server.path,
      log,
      setLogLevel(level) {
        log.level = level;
        log.info({ logLevel: level }, 'log level set');
      },
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
async function wireServer({ config, warnings }: LoadedConfig, fdStore: FdStore, log: Logger, closing: Disposers) {
  for (const warning of [...warnings, ...notHonoured(config), ...kernelProblems()]) log.warn(warning);
  // Must come first: rebuilding the state reads and sweeps the pods of another crid that already serves on this socket.
  await clearSocket(socketPath(config.crid.listen));
  const directories = directoriesOf(config);
  const giveUp = await ownAlone(directories, { address: config.grpc.address, namespace: config.crid.namespace });
  closing.add('locks', giveUp);
  const { onUnhandled } = installLastResort(log);
  const metrics = createMetrics();
  const tracer = await startTracing(process.env, log);
  closing.add('traces', () => tracer?.close());
  const underWay = createCallsUnderWay();
  const gate = createStartGate([RuntimeServiceDefinition, ImageServiceDefinition]);
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
  return { config, log, closing, directories, onUnhandled, metrics, underWay, fdStore, gate, server, registered };
}

/** The parts that exist before containerd has answered. */
type Base = Awaited<ReturnType<typeof wireServer>>;

/** Connects to containerd, starts the streaming thread, and reads the records and what host and containerd can do. */
async function wireContainerd({ config, log, closing, directories, metrics, onUnhandled, underWay }: Base) {
  const shims = shimNames(config);
  const containerd = connect(config, log, metrics, shims.describe);
  closing.add('connection to containerd', () => containerd.close());
  const starting = createStreaming({ config: config.streaming, log, onUnhandled, callsUnderWay: underWay.count });
  const registered = closing.add('streaming server', async () => (await starting.catch(() => undefined))?.close());
  const images = createImageCache({ containerd, config: config.images, log });
  const version = await usableVersion(containerd, config);
  const [warnings, features, streaming, host, stored] = await Promise.all([
    conflicts(containerd, config, log),
    handlerFeatures(config, containerd, log),
    starting,
    hostFacts(),
    readStored({ containerd, directories, images, log }),
  ]);
  const runtimes = await handlersOf(config, { containerd, log, features, metrics });
  closing.add('networks', runtimes.close);
  return {
    ...{ shims, containerd, version, warnings, features, host, runtimes, images, stored },
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
    ...{ state, statusFiles, stdio, stats, exits, operations },
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
  const { config, log, closing, directories, metrics, fdStore } = base;
  const { containerd, operations, state, images, stdio, stats, streaming, warnings, features } = ready;
  const events = eventsOf(state, images, metrics);
  closing.add('event streams', () => events.close());
  metrics.watch(metricSources({ operations, state, images, events, stdio }));
  const { pods, containers, imageDeps, stop } = await handlerDeps(base, ready);
  const deps = { pods, containers, shared: warnings.length > 0, onSwept: metrics.swept };
  const recovery = await recover(deps, ready.stored);
  closing.add('recovery', () => recovery.close());
  releaseUnused(fdStore, stdio, state, log);
  ready.follow();
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
        network: ready.runtimes.network,
        operations,
        unreadable: () => [...state.claims.list(), ...images.unreadable()],
        features,
        warnings,
      },
      runtimeConfig: { config, systemd: await runsSystemd() },
    }),
    imageService(imageDeps),
  ]);
  recovery.begin();
  const socket = socketPath(config.crid.listen);
  log.info({ version: VERSION, socket, containerd: ready.version, address: config.grpc.address }, 'crid serves');
}

/** Composes what the handlers of each group of RPCs use. */
async function handlerDeps({ config, log, directories }: Base, ready: Ready) {
  const { containerd, operations, state, images, exits, host, stdio, statusFiles } = ready;
  const shared = {
    log,
    containerd,
    operations,
    state,
    directories,
    exits,
    host,
    specOptions: specOptions(config),
    handlers: ready.runtimes.handlers,
    describeShim: ready.shims.describe,
    imageVolumes: createImageVolumes({ containerd, directories }),
    selinux: await selinux(config, state),
  };
  const unpacking = createUnpacking({ containerd, config, operations, log });
  const unpackImage = unpacking.step;
  const containers: ContainerDeps = { ...shared, config, images, stdio, statusFiles, unpackImage };
  const imageDeps: ImageDeps = { ...shared, config, images, unpacking };
  const stop = createStop(containers);
  const remove = removeContainer(containers);
  const pods: PodDeps = {
    ...shared,
    namespaces: createNamespaces(directories),
    pauseImage: config.images.pinned_images['sandbox'] ?? '',
    ensureImage: ensureImage(imageDeps),
    killContainer: (id, caller) => stop(id, 0, caller),
    removeContainer: async (id, caller) => void (await remove({ container_id: id }, caller)),
  };
  return { pods, containers, imageDeps, stop };
}

async function wireMetrics({ config, log, closing, metrics }: Base): Promise<void> {
  const { metrics_address: address } = config.crid;
  if (address === '') return;
  const served = await serveMetrics({ address, registry: metrics.registry, log });
  closing.add('metrics', () => served.close());
}

/**
 * Describes the shim of a task: a pod's containers run in the shim of its sandbox. Before the state exists, it uses
 * only the id.
 */
function shimNames({ crid }: Config): { describe(id: string): string; state: State | undefined } {
  const shims = createShimStates(crid);
  const names = {
    state: undefined as State | undefined,
    describe(id: string): string {
      const container = names.state?.containers.list().find((each) => each.id === id);
      return shims.describe(container?.podId ?? id, id);
    },
  };
  return names;
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
  const mayRun = (id: string): boolean =>
    stdio.of(id) !== undefined || state.containers.byId(id)?.state.phase === 'running';
  for (const id of fdStore.names) if (!mayRun(id)) releasePipes(fdStore, id, log);
}

type HandlerParts = Pick<Parameters<typeof createHandlers>[0], 'containerd' | 'log' | 'features'> & {
  metrics: Metrics;
};

async function handlersOf(
  config: Config,
  { metrics, ...parts }: HandlerParts,
): Promise<ReturnType<typeof createHandlers>> {
  return createHandlers({ config, ...parts, baseSpecs: await loadBaseSpecs(config), onPlugin: metrics.cniPlugin });
}

const specOptions = ({ runtime, crid }: Config): SpecOptions => ({
  namespace: crid.namespace,
  disableProcMount: runtime.disable_proc_mount,
  disableApparmor: runtime.disable_apparmor,
  unsetSeccompProfile: runtime.unset_seccomp_profile,
  restrictOomScoreAdj: runtime.restrict_oom_score_adj,
  tolerateMissingHugetlbController: runtime.tolerate_missing_hugetlb_controller,
  disableHugetlbController: runtime.disable_hugetlb_controller,
  deviceOwnershipFromSecurityContext: runtime.device_ownership_from_security_context,
  enableUnprivilegedPorts: runtime.enable_unprivileged_ports,
  enableUnprivilegedIcmp: runtime.enable_unprivileged_icmp,
});
