import assert from 'node:assert/strict';
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { test } from 'node:test';
import { fileURLToPath } from 'node:url';

/** The documents name tests by their path below `test/unit` or `test/integration`, and by words of their title. */

/** Returns the folder of the package, regardless of the folder of the compiled tests. */
function packageFolder(folder = dirname(fileURLToPath(import.meta.url))): string {
  return existsSync(join(folder, 'docs/limits.md')) ? folder : packageFolder(dirname(folder));
}

const page = (name: string): string => readFileSync(join(packageFolder(), 'docs', name), 'utf8');

/** `unit/cri/deadline`, for each test file. */
const FILES = ['unit', 'integration'].flatMap((kind) =>
  readdirSync(join(packageFolder(), 'test', kind), { recursive: true, encoding: 'utf8' })
    .filter((name) => name.endsWith('.test.ts'))
    .map((name) => `${kind}/${name.slice(0, -'.test.ts'.length)}`),
);

/** Returns the test files at `path`, which may leave out the kind or be a folder. */
const filesAt = (path: string): string[] =>
  FILES.filter((file) =>
    [path, `unit/${path}`, `integration/${path}`].some((full) => file === full || file.startsWith(`${full}/`)),
  );

/** Returns whether a string in one of the files has the words: a title, or its part in a table of cases. */
const nameTest = (files: readonly string[], words: string): boolean =>
  files.some((file) => {
    const text = readFileSync(join(packageFolder(), 'test', `${file}.test.ts`), 'utf8');
    return [...text.matchAll(/(['"`])(?:(?!\1).)*\1/g)].some(([string]) => string.includes(words));
  });

/** Returns the references of a cell, `file, file: words, words; file`, that name no test. */
const wrongIn = (cell: string): string[] =>
  cell
    .replaceAll('`', '')
    .split('; ')
    .flatMap((part) => {
      const [names = '', words] = part.split(': ');
      const paths = names.split(', ').map((name) => name.trim().replace(/^(unit|integration) /, '$1/'));
      const missing = paths.filter((path) => filesAt(path).length === 0);
      const unnamed = words?.split(', ').filter((some) => !nameTest(paths.flatMap(filesAt), some.trim())) ?? [];
      return [...missing, ...unnamed.map((some) => `${names}: ${some}`)];
    });

/** Returns the cells of a column of all tables that have one with this head. */
function cells(text: string, head: string): string[] {
  let column = -1;
  return text.split('\n').flatMap((line) => {
    const row = line.startsWith('|') ? line.split(' | ').map((cell) => cell.replace(/^\| | \|$/g, '').trim()) : [];
    if (row.length === 0) column = -1;
    else if (column < 0) column = row.indexOf(head);
    else if (!row.every((cell) => /^[-|]+$/.test(cell))) return [row[column] ?? ''];
    return [];
  });
}

for (const name of ['limits.md', 'streaming.md'])
  test(`docs/${name}: its tables name tests that exist`, () => {
    const named = cells(page(name), 'test').filter((cell) => !/^(|-|–|none.*|`make soak`)$/.test(cell));
    assert.ok(named.length > 5);
    assert.deepEqual(named.flatMap(wrongIn), []);
  });

test('the documents name test files that exist', () => {
  const pages = readdirSync(join(packageFolder(), 'docs')).filter((name) => name.endsWith('.md'));
  const named = pages.flatMap((name) =>
    [...page(name).matchAll(/`(unit|integration)[ /]([\w/-]*[\w-])\/?`/g)].map(
      ([, kind = '', path = '']) => [name, `${kind}/${path}`] as const,
    ),
  );
  assert.ok(named.length > 20);
  assert.deepEqual(
    named.filter(([, path]) => filesAt(path).length === 0),
    [],
  );
});
