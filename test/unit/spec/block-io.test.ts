import assert from 'node:assert/strict';
import { mkdir, mkdtemp, rm, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { parse } from 'yaml';
import { CriError } from '../../../src/base/errors.js';
import { blockDevices } from '../../../src/host/files/block-devices.js';
import { applyAdjustment } from '../../../src/nri/adjust/apply-adjustment.js';
import { blockIoClassOf, blockIoOf, parseBlockIoClasses, requireClass } from '../../../src/spec/block-io.js';
import { ContainerAdjustment } from '../../../generated/nri/v1alpha1/api.js';
import { richSpec } from '../nri/adjustments.js';
import { HOST, OPTIONS } from './inputs.js';

const FILE = `
Classes:
  slow:
    - Weight: 80
    - Devices: [/dev/vd*]
      ThrottleReadBps: 50M
      ThrottleWriteBps: 10Mi
      ThrottleReadIOPS: 10k
      ThrottleWriteIOPS: 1.5
      Weight: 50
    - Devices: [/dev/vdb]
      ThrottleReadBps: 1e3
  heavy:
    - Weight: 2000
  aimless:
    - ThrottleReadBps: 1
  odd:
    - Devices: [/dev/vda]
      ThrottleReadBps: fast
`;
const classes = parseBlockIoClasses(parse(FILE));
const numbers = (name: string): { major: number; minor: number } => ({ major: 254, minor: name === 'vda' ? 0 : 16 });

test('a class has the values of the OCI spec for each of its devices, and later parameters win', () => {
  const devicesOf = (patterns: readonly string[] | undefined): { major: number; minor: number }[] =>
    (patterns ?? []).flatMap((one) => (one === '/dev/vd*' ? [numbers('vda'), numbers('vdb')] : [numbers('vdb')]));
  const found = blockIoOf(requireClass('slow', classes, 'field'), ({ devices }) => devicesOf(devices));
  const [vda, vdb] = [numbers('vda'), numbers('vdb')];
  const both = (rate: bigint): object[] => [vda, vdb].map((each) => ({ ...each, rate }));
  assert.deepEqual(found, {
    weight: 80,
    weightDevice: [vda, vdb].map((each) => ({ ...each, weight: 50 })),
    throttleReadBpsDevice: [
      { ...vda, rate: 50_000_000n },
      { ...vdb, rate: 1000n },
    ],
    throttleWriteBpsDevice: both(10_485_760n),
    throttleReadIOPSDevice: both(10_000n),
    throttleWriteIOPSDevice: both(2n),
  });
});

const BAD: readonly [name: string, message: string][] = [
  ['none', 'field: there is no block I/O class "none"'],
  ['heavy', 'field: block I/O class "heavy": Weight: expected 10 to 1000, received "2000"'],
  ['aimless', 'field: block I/O class "aimless": Devices: must be there with a Throttle member'],
  ['odd', 'field: block I/O class "odd": ThrottleReadBps: expected a quantity, received "fast"'],
];
for (const [name, message] of BAD) {
  test(`the class "${name}" is refused with its problem, and the others work`, () => {
    assert.throws(() => requireClass(name, classes, 'field'), { code: 'INVALID_ARGUMENT', message });
  });
}

test('a member that the format does not have is refused', () => {
  assert.throws(() => parseBlockIoClasses({ Classes: { a: [{ Speed: 1 }] } }), CriError);
  assert.equal(parseBlockIoClasses(parse('')).size, 0);
});

test("a container's annotation chooses before the pod's for that container, and that before the pod's", () => {
  const prefix = 'blockio.resources.beta.kubernetes.io';
  const pod = { [`${prefix}/pod`]: 'c', [`${prefix}/container.main`]: 'b' };
  const chosen = [
    blockIoClassOf('main', { 'io.kubernetes.cri.blockio-class': 'a' }, pod),
    blockIoClassOf('main', {}, pod),
    blockIoClassOf('other', {}, pod),
    blockIoClassOf('main', {}, {}),
  ];
  assert.deepEqual(chosen, ['a', 'b', 'c', '']);
});

test('an adjustment sets the class, and the empty class clears it', () => {
  const adjusted = (name: string, blockIo?: { weight: number }) => {
    const adjust = ContainerAdjustment.fromPartial({ linux: { resources: { blockio_class: { value: name } } } });
    const spec = richSpec();
    spec.linux.resources.blockIO = { weight: 10 };
    return applyAdjustment(spec, adjust, { host: HOST, options: OPTIONS, cdi: [], blockIo }).linux.resources.blockIO;
  };
  assert.deepEqual([adjusted('a', { weight: 20 }), adjusted('')], [{ weight: 20 }, undefined]);
});

test('patterns find block devices only, through links', async (t) => {
  const folder = await mkdtemp(join(tmpdir(), 'crid-block-'));
  t.after(() => rm(folder, { recursive: true }));
  await mkdir(join(folder, 'by-id'));
  await writeFile(join(folder, 'by-id', 'SSD-file'), '');
  await symlink('/dev/null', join(folder, 'by-id', 'SSD-null'));
  await symlink('/no/such', join(folder, 'by-id', 'SSD-gone'));
  assert.deepEqual(await blockDevices([join(folder, 'by-id', '*SSD*'), '/no/such/*']), []);
  const all = await blockDevices(['/dev/*']);
  assert.ok(all.every(({ type }) => type === 'b'));
});
