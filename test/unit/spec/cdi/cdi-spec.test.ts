import assert from 'node:assert/strict';
import { mkdtemp, rm, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { CriError } from '../../../../src/base/errors.js';
import { readCdiFiles } from '../../../../src/host/files/cdi-files.js';
import { makeFifo } from '../../../../src/host/pipe/fifo.js';
import { parseCdiSpec, resolveCdiDevices, type CdiSpec } from '../../../../src/spec/cdi/cdi-spec.js';

const spec = (priority: number, path: string, devices: readonly string[], env?: string): CdiSpec =>
  parseCdiSpec(
    {
      cdiVersion: '1.0.0',
      kind: 'v.io/gpu',
      devices: devices.map((name) => ({ name, containerEdits: { env: [`${name}=${path}`] } })),
      ...(env && { containerEdits: { env: [env] } }),
    },
    path,
    priority,
  );
const refusal = (work: () => unknown): string => {
  try {
    return JSON.stringify(work());
  } catch (thrown) {
    return `${CriError.from(thrown).code} ${CriError.from(thrown).message}`;
  }
};

test('CDI specs: devices in order, edits of the whole spec once and first, the higher priority, conflicts', () => {
  const specs = [
    spec(0, 'low', ['a', 'b'], 'ALL=low'),
    spec(1, 'high', ['b']),
    spec(1, 'x', ['c']),
    spec(1, 'y', ['c']),
  ];
  const names = (...devices: string[]): string[] => devices.map((device) => `v.io/gpu=${device}`);
  assert.deepEqual(
    [
      resolveCdiDevices(names('b', 'a'), specs).map(({ env }) => env),
      refusal(() => resolveCdiDevices(names('a', 'c', 'd'), specs)),
    ],
    [
      [undefined, ['b=high'], ['ALL=low'], ['a=low']],
      'NOT_FOUND config.CDI_devices: unresolvable v.io/gpu=c (in x and y), v.io/gpu=d',
    ],
  );
});

test('CDI specs: an invalid spec is refused by the name of the member', () => {
  const parse = (content: object): string =>
    refusal(() => parseCdiSpec({ cdiVersion: '1.0.0', kind: 'v.io/gpu', devices: [], ...content }, '/f', 0));
  const edits = (containerEdits: object): string => parse({ devices: [{ name: 'a', containerEdits }] });
  const refused = [
    parse({ kind: 'gpu' }),
    parse({ cdiVersion: 'new' }),
    parse({ devices: [{ name: '../a', containerEdits: {} }] }),
    parse({
      devices: [
        { name: 'a', containerEdits: {} },
        { name: 'a', containerEdits: {} },
      ],
    }),
    edits({ deviceNodes: [{ path: 'dev/x' }] }),
    edits({ mounts: [{ hostPath: '/a', containerPath: 'b' }] }),
    edits({ hooks: [{ hookName: 'sometime', path: '/a' }] }),
    edits({ env: ['NO_VALUE'] }),
    edits({ additionalGids: [-1] }),
  ];
  assert.deepEqual(
    refused.map((text) => /^INVALID_ARGUMENT CDI spec \/f: ([\w.]+)/.exec(text)?.[1]),
    [
      'kind',
      'cdiVersion',
      'devices.0.name',
      'devices',
      'devices.0.containerEdits.deviceNodes.0.path',
      'devices.0.containerEdits.mounts.0.containerPath',
      'devices.0.containerEdits.hooks.0.hookName',
      'devices.0.containerEdits.env.0',
      'devices.0.containerEdits.additionalGids.0',
    ],
  );
});

test('CDI files: JSON and YAML in order of the directories; a broken one has a reason, other files are ignored', async () => {
  const dir = await mkdtemp(join(tmpdir(), 'crid-cdi-'));
  try {
    await writeFile(join(dir, 'a.json'), '{"a":1}');
    await writeFile(join(dir, 'b.yaml'), 'b: [2]');
    await writeFile(join(dir, 'c.yaml'), 'c: [');
    await writeFile(join(dir, 'd.txt'), 'd');
    makeFifo(join(dir, 'e.json'), 0o600);
    await symlink('/dev/zero', join(dir, 'f.json'));
    const files = await readCdiFiles([join(dir, 'missing'), dir]);
    assert.deepEqual(
      files.map(({ path, priority, content }) => [
        path.slice(dir.length),
        priority,
        'error' in content ? content.error.message.startsWith(`CDI spec ${path}`) : content.value,
      ]),
      [
        ['/a.json', 1, { a: 1 }],
        ['/b.yaml', 1, { b: [2] }],
        ['/c.yaml', 1, true],
        ['/e.json', 1, true],
        ['/f.json', 1, true],
      ],
    );
  } finally {
    await rm(dir, { recursive: true });
  }
});
