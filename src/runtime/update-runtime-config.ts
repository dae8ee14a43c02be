import { mkdir, readFile } from 'node:fs/promises';
import { isIP, isIPv4 } from 'node:net';
import { join } from 'node:path';
import type { UpdateRuntimeConfigRequest, UpdateRuntimeConfigResponse } from '../../generated/runtime/v1/api.js';
import { CriError, doing, invalidArgument } from '../base/errors.js';
import { logOf, type Logger } from '../base/log.js';
import type { Config } from '../config/schema.js';
import { writeFileAtomic } from '../host/files/files.js';
import { translated } from '../host/syscall/errno.js';
import type { Network } from '../network/network.js';
import { renderGoTemplate } from './go-template.js';

/** The file name of containerd's CRI plugin, so that a node that moves between the two has one file, not two. */
const FILE_NAME = '10-containerd-net.conflist';

/**
 * CRI UpdateRuntimeConfig: writes the CNI configuration from the template (`runtime.cni.conf_template`) with the node's
 * pod CIDRs. Does nothing without a template, or when the network is ready, since another program has then configured
 * it.
 */
export const updateRuntimeConfig =
  (deps: { readonly config: Config; readonly network: () => Pick<Network, 'status'>; readonly log: Logger }) =>
  async (request: UpdateRuntimeConfigRequest): Promise<UpdateRuntimeConfigResponse> => {
    const { conf_template: template, conf_dir: directory } = deps.config.runtime.cni;
    const cidrs = podCidrs(request.runtime_config?.network_config?.pod_cidr ?? '');
    if (cidrs.length === 0 || template === '' || (await deps.network().status()).ready) return {};
    await doing(`cni template ${template}`, async () => {
      const text = await translated(template, () => readFile(template, 'utf8'));
      const routes = [...new Set(cidrs.map((cidr) => (isIPv4(addressOf(cidr)) ? '0.0.0.0/0' : '::/0')))].sort();
      const made = renderGoTemplate(text, { PodCIDR: cidrs[0]!, PodCIDRRanges: cidrs, Routes: routes });
      checkJson(made);
      await translated(directory, () => mkdir(directory, { recursive: true, mode: 0o755 }));
      await writeFileAtomic(join(directory, FILE_NAME), made, { mode: 0o644 });
    });
    logOf(deps.log).info({ file: join(directory, FILE_NAME), cidrs }, 'cni configuration made from the template');
    return {};
  };

function podCidrs(text: string): string[] {
  const cidrs = text
    .split(',')
    .map((cidr) => cidr.trim())
    .filter(Boolean);
  for (const cidr of cidrs) {
    if (!isCidr(cidr)) throw invalidArgument('runtime_config.network_config.pod_cidr', `"${cidr}" is not a CIDR`);
  }
  return cidrs;
}

/** `10.0.0.0/8`, `fd00::/64` */
function isCidr(text: string): boolean {
  const [address = '', bits = '', ...more] = text.split('/');
  const version = isIP(address);
  return version > 0 && more.length === 0 && /^\d{1,3}$/.test(bits) && Number(bits) <= (version === 4 ? 32 : 128);
}

const addressOf = (cidr: string): string => cidr.slice(0, cidr.indexOf('/'));

function checkJson(text: string): void {
  try {
    JSON.parse(text);
  } catch (thrown) {
    throw new CriError('FAILED_PRECONDITION', `does not produce JSON: ${CriError.from(thrown).message}`, {
      cause: thrown,
    });
  }
}
