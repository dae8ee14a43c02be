import assert from 'node:assert/strict';
import { existsSync, readFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { registeredMetrics } from './registered.js';

/** Returns the folder of the package, regardless of the folder of the compiled tests. */
const packageFolder = (folder = dirname(fileURLToPath(import.meta.url))): string =>
  existsSync(join(folder, 'docs/metrics.md')) ? folder : packageFolder(dirname(folder));

test('docs/metrics.md has every metric with its type and labels, and no other', async () => {
  const text = readFileSync(join(packageFolder(), 'docs/metrics.md'), 'utf8');
  const rows = text.matchAll(/^\| `(\w+)` *\| (\w+) *\|([^|]*)\| *\S[^|]*\|$/gm);
  const documented = [...rows].map(([, name, type, labels = '']) => [
    name,
    type,
    [...labels.matchAll(/`(\w+)`/g)].map(([, label]) => label),
  ]);

  const registered = (await registeredMetrics()).map(({ name, type, labels }) => [name, type, labels]);

  assert.deepEqual(byName(documented), byName(registered));
});

const byName = (rows: unknown[][]): unknown[][] => rows.toSorted((a, b) => String(a[0]).localeCompare(String(b[0])));
