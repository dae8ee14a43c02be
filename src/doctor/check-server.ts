import { withoutScheme } from '../base/unix-socket.js';
import { exists } from '../host/files/files.js';
import type { Config } from '../config/schema.js';
import { withCriClient } from '../client/cri-client.js';
import { checkRegistered } from './check-nri.js';
import { checkRecords } from './check-records.js';
import { fault, ok, warning, type Finding } from './finding.js';

const CALL_LIMIT_MS = 10_000;
/** Without these a kubelet starts no pod (CRI RuntimeStatus). */
const REQUIRED = ['RuntimeReady', 'NetworkReady'];

/**
 * Reports which server answers on the CRI socket, which of its conditions are false, which records it cannot read, and
 * which NRI plugins are registered.
 */
export async function checkServer({ crid, nri }: Pick<Config, 'crid' | 'nri'>): Promise<Finding[]> {
  const path = withoutScheme(crid.listen);
  if (!(await exists(path))) return [warning('socket', `${path} does not exist: crid does not run`)];
  return withCriClient(path, async ({ runtime }) => {
    const signal = AbortSignal.timeout(CALL_LIMIT_MS);
    const [{ runtime_name: name, runtime_version: version }, { status, info }] = await Promise.all([
      runtime.version({ version: '' }, { signal }),
      runtime.status({ verbose: true }, { signal }),
    ]);
    const failing = (status?.conditions ?? []).filter((condition) => !condition.status);
    return [
      ok('socket', `${name} ${version} answers on ${path}`),
      ...failing.map(({ type, message }) =>
        (REQUIRED.includes(type) ? fault : warning)('socket', `${type} is false: ${message}`),
      ),
      ...checkRecords(info),
      ...checkRegistered(nri, info),
    ];
  });
}
