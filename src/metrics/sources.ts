import { backgroundFailures } from '../base/background.js';
import { unhandledErrors } from '../base/last-resort.js';
import { wallMs } from '../base/time.js';
import type { Operations, RunningOperation } from '../operation/operation.js';
import type { ImageCache } from '../state/image-cache.js';
import type { State } from '../state/state.js';
import type { Stdio } from '../stdio/stdio.js';
import type { ContainerEvents } from '../events/container-events.js';
import type { Sources } from './metrics.js';

/** Reads the values of the gauges from the modules that have them. */
export const metricSources = (modules: {
  readonly operations: Pick<Operations, 'list'>;
  readonly state: Pick<State, 'pods' | 'containers' | 'claims'>;
  readonly images: Pick<ImageCache, 'unreadable'>;
  readonly events: Pick<ContainerEvents, 'load'>;
  readonly stdio: Pick<Stdio, 'logCounts' | 'stalledLogs'>;
}): Sources => ({
  operations: () => countBy(modules.operations.list().map(({ kind }) => kind)),
  oldestOperations: () => oldest(modules.operations.list(), wallMs()),
  pods: () =>
    countBy(
      modules.state.pods.list().map(({ state }) => state.phase),
      ['ready', 'not-ready'],
    ),
  containers: () =>
    countBy(
      modules.state.containers.list().map(({ state }) => state.phase),
      ['created', 'running', 'exited'],
    ),
  unreadable: () => modules.state.claims.list().length + modules.images.unreadable().length,
  events: modules.events.load,
  errors: () => ({ unhandled: unhandledErrors(), background: backgroundFailures() }),
  logs: modules.stdio.logCounts,
  stalledLogs: modules.stdio.stalledLogs,
});

/** Counts equal values. The values in `all` are reported even when their count is 0. */
function countBy(values: readonly string[], all: readonly string[] = []): Record<string, number> {
  const counts: Record<string, number> = Object.fromEntries(all.map((value) => [value, 0]));
  for (const value of values) counts[value] = (counts[value] ?? 0) + 1;
  return counts;
}

/** Returns the greatest age in seconds of the operations of each kind. The clock may have been set back meanwhile. */
function oldest(operations: readonly RunningOperation[], nowMs: number): Record<string, number> {
  const ages: Record<string, number> = {};
  for (const { kind, startedAtMs } of operations) {
    ages[kind] = Math.max(ages[kind] ?? 0, (nowMs - startedAtMs) / 1000);
  }
  return ages;
}
