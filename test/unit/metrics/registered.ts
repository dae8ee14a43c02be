import { createMetrics, type Sources } from '../../../src/metrics/metrics.js';

export interface RegisteredMetric {
  readonly name: string;
  readonly type: string;
  readonly labels: readonly string[];
}

/** Sources without any value. */
export const NO_SOURCES: Sources = {
  operations: () => ({}),
  oldestOperations: () => ({}),
  pods: () => ({}),
  containers: () => ({}),
  unreadable: () => 0,
  events: () => ({ subscribers: 0, longestQueue: 0 }),
  errors: () => ({ unhandled: 0, background: 0 }),
  stalledLogs: () => 0,
  logs: () => ({ written: 0n, dropped: 0n, failing: 0n }),
};

/** Returns every metric that crid exports. */
export async function registeredMetrics(): Promise<RegisteredMetric[]> {
  const metrics = createMetrics();
  metrics.watch(NO_SOURCES);
  const types = new Map((await metrics.registry.getMetricsAsJSON()).map(({ name, type }) => [name, String(type)]));
  return metrics.registry.getMetricsAsArray().map((metric) => {
    const { name, labelNames } = metric as unknown as { name: string; labelNames: string[] };
    return { name, type: types.get(name) ?? '', labels: labelNames };
  });
}
