import assert from 'node:assert/strict';
import { existsSync, readFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { defaultConfig, entryDefaults } from '../../../src/config/defaults.js';
import { configSchema } from '../../../src/config/schema.js';
import { ANY, optionPaths } from '../../../src/config/schema-walk.js';
import { get, isTree, type Path } from '../../../src/config/tree.js';

/** Returns the folder of the package, regardless of the folder of the compiled tests. */
function packageFolder(folder = dirname(fileURLToPath(import.meta.url))): string {
  return existsSync(join(folder, 'package.json')) ? folder : packageFolder(dirname(folder));
}

/** Returns `[key, default]` from every option's row. */
function documented(): string[][] {
  const text = readFileSync(join(packageFolder(), 'docs/configuration.md'), 'utf8');
  const rows = text.slice(text.indexOf('## Every option')).matchAll(/^\| `([^`]+)` *\| `([^`]+)` *\| \S.* \|$/gm);
  return [...rows].map(([, key = '', value = '']) => [key, value]);
}

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

test('docs/configuration.md has every option of the schema with its default, and no other', () => {
  const options = optionPaths(configSchema).map((path) => [
    path.map((name) => (name === ANY ? 'NAME' : name)).join('.'),
    inToml(defaultOf(path)),
  ]);
  assert.deepEqual(documented().sort(), options.sort());
});

test('the defaults are valid, except the type of a runtime', () => {
  assert.deepEqual(configSchema.parse(defaultConfig()), defaultConfig());
});
