import assert from 'node:assert/strict';
import { test } from 'node:test';
import { LinuxContainerResources } from '../../../generated/runtime/v1/api.js';
import { defaultConfig, defaultRuntimeHandler } from '../../../src/config/defaults.js';
import { loadBaseSpec, loadBaseSpecs } from '../../../src/config/load-base-spec.js';
import type { OciSpec } from '../../../src/spec/oci.js';
import { shownResources } from '../../../src/spec/resources.js';
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

test('limits are bigints, so that a status can show them', async (t) => {
  const resources = {
    cpu: { shares: 512, cpus: '0' },
    memory: { limit: 1073741824, reservation: 5 },
    hugepageLimits: [{ pageSize: '2MB', limit: 0 }],
  };
  const folder = await folderOf(t, {
    'spec.json': JSON.stringify({ ociVersion: '1.2.0', linux: { resources } }),
    'odd.json': '{"ociVersion":"1.2.0","linux":{"resources":{"memory":{"limit":1.5},"cpu":{"shares":"x"}}}}',
  });
  const { linux } = (await loadBaseSpec(`${folder}/spec.json`)) as unknown as OciSpec;
  const shown = shownResources(linux.resources, undefined);
  assert.deepEqual(LinuxContainerResources.decode(LinuxContainerResources.encode(shown).finish()), {
    ...LinuxContainerResources.fromPartial({}),
    cpu_shares: 512n,
    cpuset_cpus: '0',
    memory_limit_in_bytes: 1073741824n,
    hugepage_limits: [{ page_size: '2MB', limit: 0n }],
  });
  assert.deepEqual(await refusal(folder, loadBaseSpec(`${folder}/odd.json`)), {
    code: 'FAILED_PRECONDITION',
    lines: [
      'base_runtime_spec odd.json: linux.resources.cpu.shares: expected a whole number; linux.resources.memory.limit: expected a whole number',
    ],
  });
});

test('an invalid spec is refused with the file and the field', async (t) => {
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
