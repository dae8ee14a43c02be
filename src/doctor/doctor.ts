import { CriError } from '../base/errors.js';
import type { LoadedConfig } from '../config/load.js';
import { notHonoured } from '../config/not-honoured.js';
import type { Containerd } from '../containerd/containerd.js';
import { sharedNri } from '../runtime/conflict.js';
import { checkAddresses } from './check-addresses.js';
import { checkContainerd } from './check-containerd.js';
import { checkNetwork } from './check-network.js';
import { checkNode } from './check-node.js';
import { checkNri } from './check-nri.js';
import { checkProgram } from './check-program.js';
import { checkServer } from './check-server.js';
import { fault, ok, warning, type Finding } from './finding.js';

/**
 * Checks a node as crid would find it, and changes nothing: the configuration, containerd with its snapshotters and
 * runtimes, the CNI networks, the kernel, the NRI plugins, and whether a CRI server answers on crid's socket.
 */
export async function doctor(loaded: LoadedConfig, containerd: Containerd): Promise<Finding[]> {
  const { config } = loaded;
  const checks = [
    attempt('containerd', () => checkContainerd(loaded, containerd)),
    attempt('network', () => checkNetwork(config.runtime)),
    attempt('node', () => checkNode(config)),
    attempt('nri', async () => checkNri(config.nri, await sharedNri(containerd, loaded).catch(() => ALONE))),
    attempt('socket', () => checkServer(config)),
  ];
  return [
    ...configuration(loaded),
    ...checkAddresses(config.crid),
    ...checkProgram(process.versions.node, new Date()),
    ...(await Promise.all(checks)).flat(),
  ];
}

function configuration(loaded: LoadedConfig): Finding[] {
  const files = [...new Set(loaded.origins.values())].filter((source) => source.startsWith('/'));
  const warnings = [...loaded.warnings, ...notHonoured(loaded.config, loaded.transfer)];
  return [
    ok('configuration', files.length === 0 ? 'no file, the defaults apply' : files.join(', ')),
    ...warnings.map((message) => warning('configuration', message)),
  ];
}

/** For a containerd that does not answer, which is a fault of its own. */
const ALONE = { warning: '', launches: true };

/** Runs a check; an error becomes a fault of its subject. */
async function attempt(subject: string, check: () => Promise<Finding[]>): Promise<Finding[]> {
  try {
    return await check();
  } catch (thrown) {
    return [fault(subject, CriError.from(thrown).message)];
  }
}
