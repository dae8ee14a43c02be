import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { SYSTEMD_CGROUPS } from './cgroup-driver.js';
import { goModule, usesPackagedContainerd } from './go-modules.js';
import type { Layout } from './layout.js';

/** Options of a private containerd. */
export interface ContainerdOptions {
  /** Enables containerd's own CRI plugin, on the same socket. Off by default, as on a node that has moved to crid. */
  readonly cri?: boolean;
  /** Puts the root on a separate file system of this size. */
  readonly rootBytes?: number;
  /** Adds CRIU to the PATH, so that containers can be checkpointed. */
  readonly criu?: boolean;
  /** Additional TOML at the end, such as the table of another runtime handler. */
  readonly extraToml?: string;
  /** Additional `runtime` settings of the CRI plugin, by key. */
  readonly runtime?: Readonly<Record<string, string | number | boolean>>;
}

export interface ContainerdPaths {
  readonly dir: string;
  readonly root: string;
  readonly state: string;
  readonly socket: string;
  readonly config: string;
  readonly log: string;
  readonly certsDir: string;
  /** The socket for NRI plugins: of the CRI plugin if it is on, and else of a crid that reads this configuration. */
  readonly nriSocket: string;
}

/** The registries of the images that pods pull; the loopback registry replaces them. */
const REGISTRIES = ['docker.io', 'registry.k8s.io', 'k8s.gcr.io', 'gcr.io', 'ghcr.io'];
/**
 * Only the service is disabled: crid and others can use the plugins below it (its settings, the podsandbox controller).
 */
const CRI_PLUGIN = 'io.containerd.grpc.v1.cri';

export function containerdPaths(dir: string): ContainerdPaths {
  return {
    dir,
    root: join(dir, 'root'),
    state: join(dir, 'state'),
    socket: join(dir, 'containerd.sock'),
    config: join(dir, 'config.toml'),
    log: join(dir, 'containerd.log'),
    certsDir: join(dir, 'certs.d'),
    nriSocket: join(dir, 'nri', 'nri.sock'),
  };
}

export async function writeContainerdConfig(
  layout: Layout,
  paths: ContainerdPaths,
  confDir: string,
  options: ContainerdOptions,
): Promise<void> {
  await writeFile(paths.config, containerdConfig(layout, paths, confDir, options));
}

/** Points every registry to `url` (containerd's hosts.toml). */
export async function writeCerts(certsDir: string, url: string): Promise<void> {
  for (const name of REGISTRIES) {
    await mkdir(join(certsDir, name), { recursive: true });
    const host = `[host."${url}"]\n  capabilities = ["pull", "resolve"]\n`;
    await writeFile(join(certsDir, name, 'hosts.toml'), `server = "${url}"\n${host}`);
  }
}

/** The plugin of containerd 2.0 has no `bin_dirs`, and that of 2.4 no `bin_dir`. */
function cniFolder(folder: string): string {
  const text = JSON.stringify(folder);
  const isOldest = !usesPackagedContainerd() && goModule('containerd').version.startsWith('v2.0.');
  return isOldest ? `bin_dir = ${text}` : `bin_dirs = [${text}]`;
}

function containerdConfig(
  layout: Layout,
  paths: ContainerdPaths,
  confDir: string,
  { cri = false, extraToml = '', runtime = {} }: ContainerdOptions,
): string {
  const off = cri ? [] : [CRI_PLUGIN];
  const text = JSON.stringify;
  const runtimeTable = (handler: string): string =>
    [
      `[plugins."io.containerd.cri.v1.runtime".containerd.runtimes.${handler}]`,
      'runtime_type = "io.containerd.runc.v2"',
      `[plugins."io.containerd.cri.v1.runtime".containerd.runtimes.${handler}.options]`,
      `BinaryName = ${text(join(layout.bin, handler))}`,
      `SystemdCgroup = ${SYSTEMD_CGROUPS}`,
    ].join('\n');
  return `version = 3
root = ${text(paths.root)}
state = ${text(paths.state)}
disabled_plugins = ${text(off)}

[grpc]
address = ${text(paths.socket)}

[plugins."io.containerd.internal.v1.opt"]
path = ${text(join(paths.dir, 'opt'))}

[plugins."io.containerd.nri.v1.nri"]
disable = false
socket_path = ${text(paths.nriSocket)}
plugin_path = ${text(join(paths.dir, 'nri', 'plugins'))}
plugin_config_path = ${text(join(paths.dir, 'nri', 'conf.d'))}

[plugins."io.containerd.cri.v1.runtime"]
restrict_oom_score_adj = true
${Object.entries(runtime)
  .map(([key, value]) => `${key} = ${text(value)}\n`)
  .join('')}
[plugins."io.containerd.cri.v1.runtime".cni]
${cniFolder(layout.cniBin)}
conf_dir = ${text(confDir)}

[plugins."io.containerd.cri.v1.runtime".containerd]
default_runtime_name = ${text(process.env['CRID_STACK_RUNTIME'] || 'runc')}

${runtimeTable('runc')}

${runtimeTable('crun')}

[plugins."io.containerd.cri.v1.images"]
snapshotter = "overlayfs"

[plugins."io.containerd.cri.v1.images".pinned_images]
sandbox = "registry.k8s.io/pause:3.10"

[plugins."io.containerd.cri.v1.images".registry]
config_path = ${text(paths.certsDir)}

${extraToml}
`;
}
