import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Container } from '../../../generated/nri/v1alpha1/api.js';
import { changesBetween } from '../../../src/nri/adjust/audit.js';

const container = Container.fromPartial({
  annotations: { a: '1', 'x/y': 'old' },
  env: ['SECRET=one', 'SAME=1', 'GONE=1'],
  args: ['sh'],
  mounts: [{ destination: '/data', source: '/a', type: 'bind', options: ['ro'] }],
  rlimits: [{ type: 'RLIMIT_CORE', hard: 1n, soft: 1n }],
  linux: { resources: { cpu: { shares: { value: 10n } } }, sysctl: { 'net.a': '0' } },
});

test('an audit names each changed field with its values, and hides variables and arguments', () => {
  const after = Container.fromPartial({
    ...container,
    annotations: { a: '1', 'x/y': 'new' },
    env: ['SECRET=two', 'SAME=1', 'ADDED=topsecret'],
    args: ['sh', '--token=topsecret'],
    mounts: [...container.mounts, { destination: '/more', source: '/b', type: 'bind', options: [] }],
    rlimits: [...container.rlimits, { type: 'RLIMIT_CORE', hard: 2n, soft: 1n }],
    hooks: { prestart: [{ path: '/bin/hook', args: ['hook', 'topsecret'], env: ['TOKEN=topsecret'] }] },
    linux: { ...container.linux, resources: { cpu: { shares: { value: 20n } } }, sysctl: {} },
    CDI_devices: [{ name: 'vendor/device=0' }],
  });
  const { plugin, changes, more } = changesBetween('10-a', container, after);
  assert.deepEqual(
    [plugin, more, changes.map(({ field, before, after: now }) => `${field}: ${before} -> ${now}`).sort()],
    [
      '10-a',
      0,
      [
        'CDI_devices[vendor/device=0]:  -> {"name":"vendor/device=0"}',
        'annotations[x/y]: old -> new',
        'args: sh, 0 arguments (hidden) -> sh, 1 argument (hidden)',
        'env[ADDED]:  -> (hidden)',
        'env[GONE]: (hidden) -> ',
        'env[SECRET]: (hidden) -> (hidden)',
        'hooks.prestart[0]:  -> /bin/hook: hook, 1 argument (hidden)',
        'linux.resources.cpu.shares: 10 -> 20',
        'linux.sysctl[net.a]: 0 -> ',
        'mounts[/more]:  -> {"destination":"/more","type":"bind","source":"/b","options":[]}',
        'rlimits[RLIMIT_CORE]: {"type":"RLIMIT_CORE","hard":"1","soft":"1"} -> {"type":"RLIMIT_CORE","hard":"2","soft":"1"}',
      ],
    ],
  );
  assert.doesNotMatch(JSON.stringify(changes), /topsecret|two/);
});

test('an audit is bounded in its texts and in their number', () => {
  const annotations = Object.fromEntries(Array.from({ length: 100 }, (_, index) => [`k${index}`, 'x'.repeat(1000)]));
  const { changes, more } = changesBetween('10-a', container, { ...container, annotations });
  assert.equal(changes.length + more, 102);
  assert.ok(JSON.stringify(changes).length < 8192);
});

test('an answer that changes nothing has no audit', () => {
  assert.deepEqual(changesBetween('10-a', container, structuredClone(container)).changes, []);
});
