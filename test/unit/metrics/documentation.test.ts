import assert from 'node:assert/strict';
import { existsSync, readFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { createMetrics } from '../../../src/metrics/metrics.js';

/** Returns the folder of the package, regardless of the folder of the compiled tests. */
const packageFolder = (folder = dirname(fileURLToPath(import.meta.url))): string =>
  existsSync(join(folder, 'docs')) ? folder : packageFolder(dirname(folder));

test('docs/metrics.md has every metric with its type and labels, and no other', async () => {
  const text = readFileSync(join(packageFolder(), 'docs/metrics.md'), 'utf8');
  const rows = text.matchAll(/^\| `(\w+)` *\| (\w+) *\|([^|]*)\| *\S[^|]*\|$/gm);
  const documented = [...rows].map(([, name, type, labels = '']) => [
    name,
    type,
    [...labels.matchAll(/`(\w+)`/g)].map(([, label]) => label),
  ]);

  const metrics = createMetrics();
  metrics.watch({
    operations: () => ({}),
    pods: () => ({}),
    containers: () => ({}),
    unreadable: () => 0,
    events: () => ({ subscribers: 0, longestQueue: 0 }),
    errors: () => ({ unhandled: 0, background: 0 }),
    stalledLogs: () => 0,
    logs: () => ({ written: 0n, dropped: 0n, failing: 0n }),
  });
  const types = new Map((await metrics.registry.getMetricsAsJSON()).map(({ name, type }) => [name, String(type)]));
  const registered = metrics.registry.getMetricsAsArray().map((metric) => {
    const { name, labelNames } = metric as unknown as { name: string; labelNames: string[] };
    return [name, types.get(name), labelNames];
  });

  assert.deepEqual(byName(documented), byName(registered));
});

const byName = (rows: unknown[][]): unknown[][] => rows.toSorted((a, b) => String(a[0]).localeCompare(String(b[0])));
