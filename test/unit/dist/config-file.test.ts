import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { parse } from 'smol-toml';
import { checkOptions } from '../../../src/config/check.js';
import { defaultConfig, defaultRuntimeHandler, entryDefaults } from '../../../src/config/defaults.js';
import { merged, type Tree } from '../../../src/config/tree.js';
import { configFile } from '../../../tools/dist/config-file.js';
import { optionRows } from '../../../tools/dist/option-table.js';
import { projectRoot } from '../../../tools/stack/project.js';

const file = configFile(optionRows(readFileSync(join(projectRoot, 'docs/configuration.md'), 'utf8')));

/** Returns the values of a tree that are not tables, by path. */
const values = (tree: Tree, above = ''): string[] =>
  Object.entries(tree).flatMap(([key, value]) =>
    value !== null && typeof value === 'object' && !Array.isArray(value)
      ? values(value as Tree, `${above}${key}.`)
      : [`${above}${key}`],
  );

test('the packaged config.toml sets nothing', () => {
  assert.deepEqual(values(parse(file)), []);
});

test('the packaged config.toml without its marks is valid and has every default', () => {
  const all = parse(file.replaceAll(/^#(?=[[a-z])/gm, '')) as Tree;
  const entries = Object.entries(entryDefaults).map(([path, make]) =>
    path.split('.').reduceRight<Tree>((inner, key) => ({ [key]: inner }), { NAME: make() }),
  );
  const runc = { runtime: { containerd: { runtimes: { NAME: defaultRuntimeHandler() } } } };
  const expected = [...entries, runc].reduce<unknown>(merged, defaultConfig()) as ReturnType<typeof defaultConfig>;
  // The runtime that crid knows by itself is no row of the document, nor are free headers of registries.
  delete expected.runtime.containerd.runtimes['runc'];
  assert.deepEqual(checkOptions(all), {
    wrong: [{ path: RUNTIME_TYPE, text: 'expected text that is not empty, received ""' }],
    unknown: [],
  });
  assert.deepEqual(values(all).sort(), values(expected as unknown as Tree).sort());
});

const RUNTIME_TYPE = ['runtime', 'containerd', 'runtimes', 'NAME', 'runtime_type'];
