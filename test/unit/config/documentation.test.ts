import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { defaultConfig, entryDefaults } from '../../../src/config/defaults.js';
import { configSchema } from '../../../src/config/schema.js';
import { isReloadable } from '../../../src/config/reload.js';
import { ANY, optionPaths } from '../../../src/config/schema-walk.js';
import { get, isTree, type Path } from '../../../src/config/tree.js';
import { optionRows } from '../../../tools/dist/option-table.js';
import { projectRoot } from '../../../tools/stack/project.js';

function defaultOf(path: Path): unknown {
  const at = path.indexOf(ANY);
  if (at < 0) return get(defaultConfig(), path);
  return get(entryDefaults[path.slice(0, at).join('.')]?.(), path.slice(at + 1));
}

function inToml(value: unknown): string {
  if (Array.isArray(value)) return `[${value.map(inToml).join(', ')}]`;
  if (!isTree(value)) return JSON.stringify(value);
  const entries = Object.entries(value).map(([key, inner]) => `${key} = ${inToml(inner)}`);
  return entries.length > 0 ? `{ ${entries.join(', ')} }` : '{}';
}

test('docs/configuration.md has every option of the schema with its default and whether a reload takes it, and no other', () => {
  const options = optionPaths(configSchema).map((path) => [
    path.map((name) => (name === ANY ? 'NAME' : name)).join('.'),
    inToml(defaultOf(path)),
    isReloadable(path),
  ]);
  const documented = optionRows(readFileSync(join(projectRoot, 'docs/configuration.md'), 'utf8'));
  assert.deepEqual(documented.map(({ key, value, isReloadable }) => [key, value, isReloadable]).sort(), options.sort());
});

test('the defaults are valid, except the type of a runtime', () => {
  assert.deepEqual(configSchema.parse(defaultConfig()), defaultConfig());
});
