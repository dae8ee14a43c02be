import { mkdir, mkdtemp, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { stringify } from 'yaml';
import { SYSTEMD_CGROUPS } from '../../tools/stack/cgroup-driver.js';
import { logTail, startDaemon, type Daemon } from '../../tools/stack/daemon.js';
import { onDispose } from '../../tools/stack/disposers.js';
import { removeTree } from '../../tools/stack/leftovers.js';
import { freePort } from '../../tools/stack/ports.js';
import { until } from '../../tools/stack/wait.js';
import { cadvisorSocket } from './cadvisor-socket.js';
import { kubeletGet } from './kubelet-api.js';
import { kubeletTraces } from './kubelet-traces.js';
import { limitMs } from './slowness.js';
import type { TestStack } from './test-stack.js';

export interface KubeletOptions {
  readonly program: string;
  /** The CRI socket. */
  readonly socket: string;
  /** Additional fields of KubeletConfiguration, by key. */
  readonly config?: Readonly<Record<string, unknown>>;
  readonly featureGates?: Readonly<Record<string, boolean>>;
}

/** A kubelet without an API server: it runs the pods whose manifests are in a folder. */
export interface Kubelet {
  readonly manifests: string;
  readonly podLogs: string;
  /** The kubelet's own folder, which contains the volumes of pods. */
  readonly root: string;
  /** `https://127.0.0.1:PORT` */
  readonly url: string;
  pid(): number;
  /** Returns everything that it has logged since its first start. */
  log(): Promise<string>;
  /**
   * Starts the kubelet again after `stop`, with additional fields of KubeletConfiguration. Its pods have kept running.
   */
  start(config?: Readonly<Record<string, unknown>>): Promise<void>;
  stop(): Promise<void>;
  /** Stops the kubelet and removes its folders, but not its log. */
  dispose(): Promise<void>;
}

export const NODE = 'node1';
const READY_LIMIT_MS = 60_000;
const STOP_LIMIT_MS = 20_000;
/** The lowest verbosity that logs events ("Event occurred"). */
const VERBOSITY = 3;
/** Flags of every kubelet of the tests. */
export const KUBELET_FLAGS: readonly string[] = ['--hostname-override', NODE, '--v', String(VERBOSITY)];

export async function startKubelet(stack: TestStack, options: KubeletOptions): Promise<Kubelet> {
  const dir = await mkdtemp(join(stack.dir, 'kubelet-'));
  const [manifests, podLogs, root] = ['manifests', 'logs', 'root'].map((name) => join(dir, name)) as Three;
  for (const folder of [manifests, podLogs, root]) await mkdir(folder);
  const resolvConf = join(dir, 'resolv.conf');
  await writeFile(resolvConf, 'nameserver 127.0.0.1\n');
  // The log is outside the folder, because the folder is removed before the log is read.
  const [logFile, configFile, port] = [`${dir}.log`, join(dir, 'config.yaml'), await freePort()];
  const url = `https://127.0.0.1:${port}`;
  const fixed = { port, resolvConf, staticPodPath: manifests, podLogsDir: podLogs };
  const cadvisor = await cadvisorSocket(stack.containerd.socket);
  let daemon: Daemon | undefined;

  const start = async (more: Readonly<Record<string, unknown>> = {}): Promise<void> => {
    await writeFile(configFile, stringify({ ...kubeletConfiguration(options), ...fixed, ...more }));
    const flags = ['--config', configFile, '--root-dir', root, '--cert-dir', join(dir, 'pki')];
    daemon = await startDaemon(options.program, [...flags, ...KUBELET_FLAGS, ...cadvisor.flags], { logFile });
    await ready(daemon, url, logFile);
  };
  const stop = async (): Promise<void> => daemon?.stop('SIGTERM', STOP_LIMIT_MS);
  const removeTraces = kubeletTraces(podLogs);
  const dispose = onDispose(`kubelet ${dir}`, async () => {
    await stop();
    await cadvisor.remove();
    await removeTraces();
    // On a host with private mounts, the kubelet has bind-mounted its root onto itself.
    await removeTree(dir);
  });
  await start();
  const log = (): Promise<string> => readFile(logFile, 'utf8');
  return { manifests, podLogs, root, url, pid: () => daemon?.pid ?? 0, log, start, stop, dispose };
}

type Three = [string, string, string];

/** Returns a KubeletConfiguration without the fields that differ by kubelet: port, folders, resolv.conf. */
export const kubeletConfiguration = ({
  socket,
  config,
  featureGates,
}: Omit<KubeletOptions, 'program'>): Record<string, unknown> => ({
  apiVersion: 'kubelet.config.k8s.io/v1beta1',
  kind: 'KubeletConfiguration',
  authentication: { anonymous: { enabled: true }, webhook: { enabled: false } },
  authorization: { mode: 'AlwaysAllow' },
  address: '127.0.0.1',
  healthzPort: 0,
  containerRuntimeEndpoint: `unix://${socket}`,
  failSwapOn: false,
  failCgroupV1: false,
  // The result of a test must not depend on how full the disk is.
  evictionHard: { 'nodefs.available': '1%', 'imagefs.available': '1%' },
  imageGCHighThresholdPercent: 100,
  ...CGROUPS,
  ...config,
  featureGates: { ...chosenGates(process.env['CRID_KUBELET_GATES']), ...featureGates },
});

/** Parses the gates that the whole run of tests has, as in the kubelet's flag: `EventedPLEG=true,OtherGate=false`. */
function chosenGates(text = ''): Record<string, boolean> {
  const gates = text.split(',').filter(Boolean);
  return Object.fromEntries(gates.map((gate) => [gate.replace(/=.*/, ''), gate.endsWith('=true')]));
}

/**
 * On a node with systemd: the kubelet's defaults and the driver that crid reports. Elsewhere the kubelet must not
 * arrange the host's cgroups.
 */
const CGROUPS = SYSTEMD_CGROUPS ? {} : { cgroupDriver: 'cgroupfs', cgroupsPerQOS: false, enforceNodeAllocatable: [] };

const ready = (daemon: Daemon, url: string, logFile: string): Promise<true> =>
  until(`the kubelet answers on ${url}`, limitMs(READY_LIMIT_MS), async () => {
    if (daemon.hasEnded()) throw new Error('the kubelet has ended');
    await kubeletGet(url, '/healthz');
    return true as const;
  }).catch((cause: unknown) => {
    throw new Error(`kubelet: ${logTail(logFile)}`, { cause });
  });
