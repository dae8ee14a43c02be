import type { ContainerConfig } from '../../generated/runtime/v1/api.js';
import { CriError } from '../base/errors.js';
import { logOf } from '../base/log.js';
import { readCdiFiles } from '../host/files/cdi-files.js';
import { statDevice } from '../host/files/device-nodes.js';
import { cdiDeviceNames, type CdiDeviceNode, type CdiEdits } from '../spec/cdi/cdi.js';
import { parseCdiSpec, resolveCdiDevices, type CdiSpec } from '../spec/cdi/cdi-spec.js';
import type { ContainerDeps } from './container-deps.js';

/**
 * Returns what the CDI devices of a request add to its spec, with the device numbers taken from the host. NOT_FOUND
 * names the devices that no CDI spec has; FAILED_PRECONDITION: a device node is missing on the host, or CDI is
 * disabled.
 */
export async function cdiEdits(
  deps: Pick<ContainerDeps, 'config' | 'log'>,
  config: Pick<ContainerConfig, 'CDI_devices' | 'annotations'>,
): Promise<CdiEdits[]> {
  const names = cdiDeviceNames(config);
  if (names.length === 0) return [];
  const { enable_cdi, cdi_spec_dirs } = deps.config.runtime;
  if (!enable_cdi) {
    throw new CriError('FAILED_PRECONDITION', 'config.CDI_devices: disabled by the configuration (enable_cdi)');
  }
  const broken: string[] = [];
  const specs = (await readCdiFiles(cdi_spec_dirs)).flatMap(({ path, priority, content }): CdiSpec[] => {
    try {
      if ('error' in content) throw content.error;
      return [parseCdiSpec(content.value, path, priority)];
    } catch (thrown) {
      broken.push(CriError.from(thrown).message);
      return [];
    }
  });
  if (broken.length > 0) logOf(deps.log).warn({ broken }, 'CDI specs left out');
  try {
    return await Promise.all(resolveCdiDevices(names, specs).map(withHostNumbers));
  } catch (thrown) {
    const error = CriError.from(thrown);
    throw broken.length === 0 ? error : new CriError(error.code, `${error.message}; skipped: ${broken.join('; ')}`);
  }
}

const withHostNumbers = async (edits: CdiEdits): Promise<CdiEdits> =>
  edits.deviceNodes ? { ...edits, deviceNodes: await Promise.all(edits.deviceNodes.map(hostNode)) } : edits;

/** Keeps a FIFO, or a node with type and numbers, as it is. Any other node must be a device on the host. */
async function hostNode(node: CdiDeviceNode): Promise<CdiDeviceNode> {
  if (node.type === 'p' || (node.type !== undefined && node.major !== undefined && node.minor !== undefined))
    return node;
  const hostPath = node.hostPath ?? node.path;
  const found = await statDevice(hostPath);
  if (found === undefined || found === 'directory') {
    throw new CriError('FAILED_PRECONDITION', `config.CDI_devices: "${hostPath}" is not a device on this host`);
  }
  const type = found.type === 'c' && node.type === 'u' ? 'u' : found.type;
  if (node.type !== undefined && node.type !== type) {
    throw new CriError('FAILED_PRECONDITION', `config.CDI_devices: "${hostPath}" is of type ${type}, not ${node.type}`);
  }
  return { ...node, type, major: node.major ?? found.major, minor: node.minor ?? found.minor };
}
