import { createLogger } from '../base/log.js';
import { withoutScheme } from '../base/unix-socket.js';
import { DEFAULT_CONTAINERD_CONFIG } from '../config/defaults.js';
import type { LoadedConfig } from '../config/load.js';
import { createContainerd } from '../containerd/client.js';
import { lockFile } from '../host/files/lock-file.js';
import { faultHook } from '../operation/faults.js';
import { holdSignals } from './move-signals.js';
import { createRecords, MOVE_FOLDER } from './move-record.js';
import { realNode } from './real-node.js';
import type { MoveRun } from './run-move.js';
import { realClock } from './wait.js';

const CALL_LIMIT_MS = 30_000;
const LOCK_WAIT_MS = 1_000;

/**
 * Prepares `crid migrate` on this node. With `yes`, ALREADY_EXISTS when another one is in progress. `close` ends the
 * connection to containerd.
 */
export async function createMoveRun(
  options: { readonly containerdConfig?: string; readonly yes: boolean },
  { config }: Pick<LoadedConfig, 'config'>,
  say: (line: string) => void,
): Promise<{ readonly run: MoveRun; readonly close: () => void }> {
  const log = createLogger('error');
  const { address } = config.grpc;
  const unlock = options.yes ? await lockFile(`${MOVE_FOLDER}/lock`, 'crid migrate', LOCK_WAIT_MS) : undefined;
  const limits = { defaultTimeoutMs: CALL_LIMIT_MS, connectTimeoutMs: CALL_LIMIT_MS };
  const containerd = createContainerd({ address, namespace: config.crid.namespace, log, ...limits });
  const node = realNode(containerd);
  const run: MoveRun = {
    node,
    records: createRecords(node),
    sockets: { crid: withoutScheme(config.crid.listen), containerd: withoutScheme(address) },
    clock: realClock,
    // A plan changes nothing, so that its process may be ended.
    ...(options.yes && { signal: holdSignals(process, say) }),
    containerdConfig: options.containerdConfig ?? DEFAULT_CONTAINERD_CONFIG,
    log,
    hook: faultHook(process.env['CRID_FAULT'], log),
    say,
  };
  return {
    run,
    close: () => {
      containerd.close();
      unlock?.();
    },
  };
}
