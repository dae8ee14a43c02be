import { setTimeout as sleep } from 'node:timers/promises';
import { shimsOf } from '../../../tools/stack/leftovers.js';
import { cpuMs } from '../processes.js';
import type { Servers } from '../servers.js';
import type { Side } from '../side.js';
import { sum } from '../statistics.js';
import { LISTS, STATS, type Calls } from './calls.js';

/** CPU seconds per minute. */
export interface PerMinute {
  readonly containerdS: number;
  /** The sum over all shims of that containerd; each pod has one shim. */
  readonly shimsS: number;
  readonly cridS: number;
}

/** The intervals of a kubelet's calls: those of its pod lifecycle event generator, and those of its statistics. */
const LIST_EVERY_MS = 1_000;
export const STATS_EVERY_MS = 10_000;

/** The CPU time of all processes during `work`, converted to one minute. */
export async function cpuOf(
  { containerdPid, sides, stack }: Servers,
  side: Side,
  seconds: number,
  work: (signal: AbortSignal) => Promise<void> = () => Promise.resolve(),
): Promise<PerMinute> {
  const shims = (await shimsOf(stack.containerd.socket)).map(({ pid }) => pid);
  // The plugin's calls also reach crid, as events of containerd.
  const cridPid = side.pid ?? sides.candidate.pid;
  const cpu = (): PerMinute => ({
    containerdS: cpuMs(containerdPid) / 1_000,
    shimsS: sum(shims.map(cpuMs)) / 1_000,
    cridS: cridPid === undefined ? 0 : cpuMs(cridPid) / 1_000,
  });
  const [before, startedMs] = [cpu(), performance.now()];
  const ending = new AbortController();
  const working = work(ending.signal);
  await sleep(seconds * 1_000);
  const [after, minutes] = [cpu(), (performance.now() - startedMs) / 60_000];
  ending.abort();
  await working;
  const perMinute = (key: keyof PerMinute): number => (after[key] - before[key]) / minutes;
  return { containerdS: perMinute('containerdS'), shimsS: perMinute('shimsS'), cridS: perMinute('cridS') };
}

/** Makes a kubelet's calls, as far as they are in `known`, until `signal` aborts. */
export async function likeKubelet(side: Side, known: Calls, signal: AbortSignal): Promise<void> {
  const every = async (periodMs: number, calls: Calls): Promise<void> => {
    const asked = Object.entries(calls).filter(([name]) => name in known);
    while (!signal.aborted) {
      const startedMs = performance.now();
      await Promise.all(asked.map(([, call]) => call(side)));
      const restMs = Math.max(0, startedMs + periodMs - performance.now());
      await sleep(restMs, undefined, { signal }).catch(() => undefined);
    }
  };
  await Promise.all([every(LIST_EVERY_MS, LISTS), every(STATS_EVERY_MS, STATS)]);
}
