import { openCommandClient, type Transport } from '../../harness/streaming/command-client.js';
import { of, type Side } from '../side.js';
import type { StreamingBench } from './streaming-bench.js';

export const EXEC_OVER_SPDY = 'exec over SPDY';
export const EXEC_OVER_WEBSOCKET = 'exec over a WebSocket';
const WARM_UP_ROUNDS = 5;
const ROUNDS_EACH = 4;

/**
 * Times an exec of `true`: the URL, the connection, the command, its exit. Returns the times of crid over a WebSocket,
 * which have no counterpart.
 */
export async function latency({ bench, containers }: StreamingBench): Promise<number[]> {
  const overWebSocket: number[] = [];
  for (let round = -WARM_UP_ROUNDS; round < bench.rounds * ROUNDS_EACH; round++) {
    await bench.recorder.pair(EXEC_OVER_SPDY, (side) => execTrue(side, of(containers, side), 'spdy'), {
      kept: round >= 0,
    });
    // containerd's own CRI refuses crictl's WebSocket, so there is nothing to compare with.
    const startedMs = performance.now();
    await execTrue(bench.sides.candidate, containers.candidate, 'websocket');
    if (round >= 0) overWebSocket.push(performance.now() - startedMs);
  }
  return overWebSocket;
}

async function execTrue({ runtime }: Side, container_id: string, transport: Transport): Promise<void> {
  const { url } = await runtime.exec({ container_id, cmd: ['true'], stdout: true, stderr: true });
  const client = await openCommandClient(url, { transport });
  const outcome = await client.outcome;
  if (!outcome.includes('"Success"')) throw new Error(`exec of true: ${outcome}`);
}
