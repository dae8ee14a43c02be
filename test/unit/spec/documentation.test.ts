import assert from 'node:assert/strict';
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { basename, dirname, join } from 'node:path';
import { test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { ContainerConfig, PodSandboxConfig } from '../../../generated/runtime/v1/api.js';

/** Returns the folder of the package, regardless of the folder of the compiled tests. */
function packageFolder(folder = dirname(fileURLToPath(import.meta.url))): string {
  return existsSync(join(folder, 'docs/spec.md')) ? folder : packageFolder(dirname(folder));
}

const page = (): string => readFileSync(join(packageFolder(), 'docs/spec.md'), 'utf8');

/** Returns the entries `file: words` of the last column, which has the form `file: words, words; file: words`. */
function references(): string[] {
  const rows = page()
    .slice(0, page().indexOf('## What is refused'))
    .matchAll(/^\| (?!CRI field|---).* \| ([^|]+) \|$/gm);
  return [...rows].flatMap(([, cell = '']) =>
    cell.split('; ').flatMap((reference) => {
      const [file = '', words = ''] = reference.split(': ');
      return words.split(', ').map((some) => `${file.trim()}: ${some.trim()}`);
    }),
  );
}

test('docs/spec.md: its last column names tests that exist', () => {
  // A rule in a table counts as a test.
  const title = /(?:^ *test\(|\bname: )(['"`])(.*?)\1,/gm;
  const titles = [
    'test/unit/spec',
    'test/integration/spec',
    'test/integration/rpc',
    'test/integration/pinned',
    'test/vm',
  ].flatMap((folder) =>
    readdirSync(join(packageFolder(), folder), { recursive: true, encoding: 'utf8' })
      .filter((name) => name.endsWith('.test.ts'))
      .flatMap((name) =>
        [...readFileSync(join(packageFolder(), folder, name), 'utf8').matchAll(title)].map(
          ([, , words]) => [basename(name, '.test.ts'), words ?? ''] as const,
        ),
      ),
  );
  const found = references();
  const exists = (reference: string): boolean => {
    const [file, words = ''] = reference.split(': ');
    return titles.some(([name, title]) => name === file && title.includes(words));
  };
  assert.ok(found.length > 60);
  assert.deepEqual(
    found.filter((reference) => !exists(reference)),
    [],
  );
});

test('docs/spec.md names every field of a pod and of a container', () => {
  const text = page();
  const fields = [...Object.keys(PodSandboxConfig.fromPartial({})), ...Object.keys(ContainerConfig.fromPartial({}))];
  // Fields whose messages have rows for their own fields, and fields that the spec does not use.
  const elsewhere = ['linux', 'image', 'stdin', 'stdin_once', 'log_directory'];
  assert.deepEqual(
    fields.filter((field) => !elsewhere.includes(field) && !text.includes(`\`${field}`)),
    [],
  );
});

test('docs/security.md: the tests of its table name the advisory', () => {
  const short: Readonly<Record<string, string>> = {
    spec: 'test/integration/spec/advisories.test.ts',
    rpc: 'test/integration/rpc/advisories.test.ts',
    unit: 'test/unit/spec/advisories.test.ts',
  };
  const page = readFileSync(join(packageFolder(), 'docs/security.md'), 'utf8');
  const rows = [...page.matchAll(/^\| ((?:CVE|GHSA)-[^|]+) \| .+ \| ([^|]+) \|$/gm)];
  const missing = rows.flatMap(([, advisories = '', tests = '']) =>
    tests.split(', ').filter((reference) => {
      const [file = '', title = advisories.split(', ')[0] ?? ''] = reference.split(': ');
      return !readFileSync(join(packageFolder(), short[file] ?? file), 'utf8').includes(title);
    }),
  );
  assert.ok(rows.length > 20);
  assert.deepEqual(missing, []);
});
