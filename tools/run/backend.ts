import { existsSync } from 'node:fs';
import { mkdtemp, readdir, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { pino } from 'pino';
import { loadConfig } from '../../src/config/load.js';
import type { Config } from '../../src/config/options.js';
import { createContainerd } from '../../src/containerd/client.js';
import { onDispose } from '../stack/disposers.js';
import { startStack } from '../stack/stack.js';
import type { Step } from '../stack/steps.js';

/** The containerd that crid will use. */
export interface Backend {
  readonly description: string;
  /** A folder for crid's files and the pod's logs. It is removed when this process ends. */
  readonly dir: string;
  /** containerd's config.toml; "" if it has none. */
  readonly containerdConfig: string;
  /** Additional options for crid's own config.toml. */
  readonly config: Readonly<Record<string, object>>;
  /** Without a CNI configuration a pod can only use the host's network. */
  readonly hostNetwork: boolean;
}

const CONFIG = '/etc/containerd/config.toml';
const PROBE_LIMIT_MS = 5_000;
const OLDEST = 2;

/**
 * Returns the containerd of this machine (configured in `file`, or in /etc/containerd/config.toml) if it is new enough.
 * Otherwise starts a private one.
 */
export async function chooseBackend(
  file: string | undefined,
  step: Step,
  say: (line: string) => void,
): Promise<Backend> {
  const containerdConfig = file ?? (existsSync(CONFIG) ? CONFIG : '');
  const { config } = await loadConfig({ containerdConfig, config: '' });
  const address = config.grpc.address.replace(/^unix:\/\//, '');
  const found = existsSync(address) ? await probe(address) : { problem: 'is not there' };
  if (!('problem' in found)) return machines(containerdConfig, config, found);
  say(`  ${address} ${found.problem}: crid gets a private containerd`);
  const stack = await startStack({ step });
  return {
    description: `a private containerd on ${stack.containerd.socket}`,
    dir: stack.dir,
    containerdConfig: stack.containerd.config,
    config: {},
    hostNetwork: false,
  };
}

interface Found {
  readonly version: string;
  /** containerd's own CRI plugin runs, and may serve a kubelet's pods. */
  readonly hasCri: boolean;
}

async function machines(containerdConfig: string, config: Config, { version, hasCri }: Found): Promise<Backend> {
  const dir = await mkdtemp(join(tmpdir(), 'crid-run-'));
  onDispose(`folder ${dir}`, () => rm(dir, { recursive: true, force: true }));
  const { conf_dir: confDir, bin_dirs: binDirs } = config.runtime.cni;
  const confs = await readdir(confDir).catch(() => []);
  const hasNetwork =
    confs.some((name) => /\.(conf|conflist|json)$/.test(name)) && binDirs.some((each) => existsSync(each));
  return {
    description: `containerd ${version} on ${config.grpc.address}`,
    dir,
    containerdConfig,
    // A separate namespace keeps crid away from the pods of a kubelet that uses the plugin.
    config: hasCri ? { crid: { namespace: 'crid' } } : {},
    hostNetwork: !hasNetwork,
  };
}

async function probe(address: string): Promise<Found | { problem: string }> {
  const log = pino({ level: 'silent' });
  const limits = { defaultTimeoutMs: PROBE_LIMIT_MS, connectTimeoutMs: PROBE_LIMIT_MS };
  const containerd = createContainerd({ address, namespace: 'default', log, ...limits });
  try {
    const { version } = await containerd.introspection.version();
    if (Number.parseInt(version.replace(/^v/, ''), 10) < OLDEST)
      return { problem: `is containerd ${version}, too old` };
    const plugins = await containerd.introspection.plugins(['type==io.containerd.grpc.v1,id==cri']);
    return { version, hasCri: plugins.some(({ initError }) => initError === '') };
  } catch (thrown) {
    return { problem: `does not answer (${thrown instanceof Error ? thrown.message : String(thrown)})` };
  } finally {
    containerd.close();
  }
}
