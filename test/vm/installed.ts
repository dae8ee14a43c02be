import { mkdtemp, readdir, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { run } from '../../tools/stack/exec.js';
import { projectRoot } from '../../tools/stack/project.js';
import { unpackInGuest } from '../../tools/vm/checkout.js';
import type { Machine } from '../../tools/vm/machine.js';
import { containerdConfig, containerdDropIn } from '../../tools/vm/recipe.js';
import { quote } from '../../tools/vm/ssh.js';
import type { ServerName } from '../conformance/options.js';
import { buildPackages, PACKAGE_VERSIONS, packageFile } from './debian.js';

/** The socket of the service, which is crid's default. */
export const CRID_SOCKET = '/run/crid/crid.sock';
export const CONTAINERD_SOCKET = '/run/containerd/containerd.sock';
/** The socket for NRI plugins of the server that runs, which is everyone's default. */
export const NRI_SOCKET = '/var/run/nri/nri.sock';

const NPM_LIMIT_MS = 300_000;
const INSTALL_LIMIT_MS = 300_000;
const START_LIMIT_MS = 180_000;

/**
 * Installs this checkout in the guest as a user would: the package that `npm pack` makes, globally, and its systemd
 * unit.
 */
export async function installCrid(machine: Machine): Promise<void> {
  const folder = await mkdtemp(join(tmpdir(), 'crid-package-'));
  const npm = (...args: string[]): Promise<string> => run('npm', args, { cwd: projectRoot, timeoutMs: NPM_LIMIT_MS });
  try {
    // The checkout is already built, and the package's script would build it again.
    await npm('pack', '--ignore-scripts', '--silent', '--pack-destination', folder);
    const [tarball = ''] = await readdir(folder);
    const prefix = join(folder, 'prefix');
    const quiet = ['--no-audit', '--no-fund', '--loglevel=error', '--prefer-offline', '--omit=dev'];
    await npm('install', '--global', '--prefix', prefix, ...quiet, join(folder, tarball));
    await machine.run('systemctl stop crid 2>/dev/null || true');
    await unpackInGuest(machine, 'package', prefix, ['bin/crid', 'lib/node_modules/crid'], '/usr/local');
  } finally {
    await rm(folder, { recursive: true });
  }
  const unit = await readFile(join(projectRoot, 'packaging', 'crid.service'), 'utf8');
  await machine.run(`printf %s ${quote(unit)} >/etc/systemd/system/crid.service && systemctl daemon-reload`);
}

/** Installs this checkout in the guest as its Debian package, with the Node.js in it. */
export async function installPackage(machine: Machine): Promise<void> {
  const { own } = PACKAGE_VERSIONS;
  await buildPackages(machine.architecture, [own]);
  await machine.run(`dpkg -i ${quote(packageFile(own, machine.architecture))}`, { timeoutMs: INSTALL_LIMIT_MS });
}

/** The crid that `installPackage` installs, and its Node.js. */
export const PACKAGED_CRID = '/usr/bin/crid';
export const PACKAGED_NODE = '/usr/lib/crid/bin/node';

/**
 * Makes the guest's containerd service run the programs of another folder, with the shim there. The returned function
 * gives the service back to the package.
 */
export async function replaceContainerd(machine: Machine, bin: string): Promise<() => Promise<void>> {
  const file = '/run/systemd/system/containerd.service.d/version.conf';
  await machine.run(
    `mkdir -p ${dirname(file)} && printf %s ${quote(containerdDropIn(bin))} >${file} && systemctl daemon-reload`,
  );
  return async () => {
    const restart = 'systemctl daemon-reload && systemctl stop crid && systemctl restart containerd';
    await machine.run(`rm ${file} && ${restart}`, { timeoutMs: START_LIMIT_MS });
  };
}

/** Returns the version of the containerd that serves, which may be another one than that of the package. */
export async function runningContainerd(machine: Machine): Promise<string> {
  const version = await machine.run(`/proc/$(systemctl show --property MainPID --value containerd)/exe --version`);
  return version.trim().split(' ')[2] ?? '';
}

/** Starts crid with a containerd without its CRI plugin, or a containerd that serves the CRI itself; both serve NRI. */
export async function startServer(machine: Machine, server: ServerName): Promise<string> {
  const config = containerdConfig({ cri: server === 'reference', nri: true });
  await machine.run(
    `systemctl stop crid 2>/dev/null
     printf %s ${quote(config)} >/etc/containerd/config.toml
     systemctl restart containerd${server === 'crid' ? ' && systemctl start crid' : ''}`,
    { timeoutMs: START_LIMIT_MS },
  );
  return server === 'crid' ? CRID_SOCKET : CONTAINERD_SOCKET;
}
