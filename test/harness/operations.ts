import type { RuntimeServiceClient } from '../../generated/runtime/v1/api.js';
import type { RunningOperation } from '../../src/operation/operation.js';

/** Returns the running operations, as `crictl info` shows them. */
export async function runningOperations(runtime: Pick<RuntimeServiceClient, 'status'>): Promise<RunningOperation[]> {
  const { info } = await runtime.status({ verbose: true });
  return (JSON.parse(info['operations'] ?? '{}') as { running: RunningOperation[] }).running;
}
