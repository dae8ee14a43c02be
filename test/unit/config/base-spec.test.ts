import assert from 'node:assert/strict';
import { test } from 'node:test';
import { loadBaseSpec, loadBaseSpecs } from '../../../src/config/base-spec.js';
import { defaultConfig, defaultRuntimeHandler } from '../../../src/config/defaults.js';
import { folderOf, refusal } from './files.js';

test('base specs are read once for each file, large numbers whole', async (t) => {
  const folder = await folderOf(t, {
    'spec.json':
      '{"ociVersion":"1.2.0","process":{"rlimits":[{"type":"RLIMIT_NOFILE","hard":18446744073709551615,"soft":1024}]}}',
  });
  const path = `${folder}/spec.json`;
  const config = defaultConfig();
  const handler = { ...defaultRuntimeHandler(), base_runtime_spec: path };
  config.runtime.containerd.runtimes = { runc: defaultRuntimeHandler(), a: handler, b: handler };
  const rlimits = [{ type: 'RLIMIT_NOFILE', hard: 18446744073709551615n, soft: 1024 }];
  assert.deepEqual(await loadBaseSpecs(config), new Map([[path, { ociVersion: '1.2.0', process: { rlimits } }]]));
});

test('what is no spec is refused with the file and the field', async (t) => {
  const folder = await folderOf(t, {
    'list.json': '[]',
    'fields.json': '{"mounts":{},"linux":[],"annotations":{"a":1},"process":{}}',
    'text.json': '{"ociVersion"',
  });
  const of = async (name: string) =>
    (await refusal(folder, loadBaseSpec(`${folder}/${name}`))) as { code: string; lines: string[] };
  assert.deepEqual(await Promise.all(['list.json', 'fields.json', 'gone.json'].map(of)), [
    { code: 'FAILED_PRECONDITION', lines: ['base_runtime_spec list.json: the file: expected an object'] },
    {
      code: 'FAILED_PRECONDITION',
      lines: [
        'base_runtime_spec fields.json: ociVersion: expected text; mounts: expected a list; annotations.a: expected text; linux: expected an object',
      ],
    },
    { code: 'FAILED_PRECONDITION', lines: ['base_runtime_spec gone.json: cannot be read: ENOENT'] },
  ]);
  assert.match((await of('text.json')).lines[0] ?? '', /^base_runtime_spec text\.json: not JSON: \S/);
});
