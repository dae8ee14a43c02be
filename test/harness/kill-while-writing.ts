import { existsSync } from 'node:fs';
import { stat } from 'node:fs/promises';
import { setTimeout as sleep } from 'node:timers/promises';
import { until } from '../../tools/stack/wait.js';
import type { Crid } from './crid.js';
import { assertNumbered, createLines } from './lines.js';
import { runPod } from './pod.js';
import type { TestStack } from './test-stack.js';

export interface KillsResult {
  readonly lines: number;
  /** The duration of the container's longest write(2) over all kills. */
  readonly longestWriteMs: number;
  /** The time from each kill until crid responded again. */
  readonly awayMs: readonly number[];
}

const LINE_BYTES = 100;
const GROWS_LIMIT_MS = 30_000;
/** A random pause before each kill, so that kills hit any point of crid's work. */
const MAX_PAUSE_MS = 400;

/**
 * Kills crid (SIGKILL) and starts it again, `kills` times, while a container writes numbered lines. Fails unless the
 * log contains every line, once and in order.
 */
export async function killWhileWriting(
  crid: Crid,
  stack: TestStack,
  { kills, bytesPerSecond, onKill }: { kills: number; bytesPerSecond: number; onKill?: (kill: number) => void },
): Promise<KillsResult> {
  const pod = await runPod(crid, stack);
  const writer = (await createLines(stack.dir)).container({ bytesPerSecond, count: 0, widthBytes: LINE_BYTES });
  const id = await pod.run({ name: 'numbered', ...writer });
  const path = pod.logPath('numbered');
  const size = async (): Promise<number> => (existsSync(path) ? (await stat(path)).size : 0);
  const awayMs: number[] = [];
  for (let kill = 1; kill <= kills; kill += 1) {
    const before = await size();
    await until('the log grows', GROWS_LIMIT_MS, async () => (await size()) > before || undefined);
    await sleep(Math.random() * MAX_PAUSE_MS);
    const killedMs = performance.now();
    await crid.kill9();
    await crid.start();
    awayMs.push(performance.now() - killedMs);
    onKill?.(kill);
  }
  await sleep(MAX_PAUSE_MS);
  await crid.runtime.stopContainer({ container_id: id, timeout: 0n });
  const found = await assertNumbered([path]);
  await pod.remove();
  return { ...found, awayMs };
}
