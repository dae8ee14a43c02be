import assert from 'node:assert/strict';
import { test } from 'node:test';
import { CgroupDriver } from '../../../generated/runtime/v1/api.js';
import { defaultConfig, defaultRuntimeHandler } from '../../../src/config/defaults.js';
import type { Config } from '../../../src/config/schema.js';
import { cgroupDriverOf, withCgroupDriver } from '../../../src/containerd/runtime-cgroup-driver.js';
import { decodeRuntimeOptions, runtimeOptions } from '../../../src/containerd/runtime-options.js';
import { checkCgroups } from '../../../src/doctor/check-cgroups.js';
import { handlerCgroupDriver, nodeCgroupDriver } from '../../../src/runtime/node-cgroup-driver.js';
import { runtimeConfig } from '../../../src/runtime/runtime-config.js';
import { checkCgroupDriver, cgroupsPath } from '../../../src/spec/cgroup-path.js';
import { refusal } from '../spec/inputs.js';

const RUNC = 'io.containerd.runc.v2';
const KATA = 'io.containerd.kata.v2';
const SPIN = 'io.containerd.spin.v2';
const SLICE = '/kubepods.slice/kubepods-pod1.slice';
const DIRECTORY = '/kubepods/pod1';

type Options = Readonly<Record<string, unknown>>;
type HandlerRow = readonly [type: string, options: Options];

/** Makes a configuration with these handlers by name. The first is the default. */
function configOf(handlers: Readonly<Record<string, HandlerRow>>): Config {
  const config = defaultConfig();
  config.runtime.containerd.runtimes = Object.fromEntries(
    Object.entries(handlers).map(([name, [runtime_type, options]]) => [
      name,
      { ...defaultRuntimeHandler(), runtime_type, options },
    ]),
  );
  config.runtime.containerd.default_runtime_name = Object.keys(handlers)[0]!;
  return config;
}

const unset: HandlerRow = [RUNC, {}];
const named: HandlerRow = [RUNC, { BinaryName: 'crun' }];
const no: HandlerRow = [RUNC, { SystemdCgroup: false }];
const yes: HandlerRow = [RUNC, { SystemdCgroup: true }];
const kata: HandlerRow = [KATA, {}];
const kataFile: HandlerRow = [KATA, { ConfigPath: '/etc/kata.toml' }];
const inlineYes: HandlerRow = [SPIN, { SystemdCgroup: true }];
const inlineNo: HandlerRow = [SPIN, { SystemdCgroup: false }];
const otherBody: HandlerRow = [SPIN, { ConfigBody: '{"not": "TOML"}' }];

test('the driver of a handler is the one that its shim gets', () => {
  const refused: HandlerRow = [RUNC, { No: 1 }];
  const rows = { unset, named, no, yes, kata, kataFile, inlineYes, inlineNo, otherBody, refused };
  const drivers = Object.entries(configOf(rows).runtime.containerd.runtimes).map(([name, handler]) => [
    name,
    handlerCgroupDriver(handler),
  ]);
  assert.deepEqual(Object.fromEntries(drivers), {
    ...{ unset: 'cgroupfs', named: 'cgroupfs', no: 'cgroupfs', yes: 'systemd' },
    ...{ kata: undefined, kataFile: undefined, inlineYes: 'systemd', inlineNo: 'cgroupfs', otherBody: undefined },
    refused: undefined,
  });
});

/** [handlers, driver without systemd, driver with systemd, handlers that doctor reports as faulty with systemd] */
const NODES: readonly (readonly [Readonly<Record<string, HandlerRow>>, string, string, string[]])[] = [
  [{ runc: unset }, 'cgroupfs', 'cgroupfs', []],
  [{ runc: named }, 'cgroupfs', 'cgroupfs', []],
  [{ runc: no }, 'cgroupfs', 'cgroupfs', []],
  [{ runc: yes }, 'systemd', 'systemd', []],
  [{ runc: unset, crun: no }, 'cgroupfs', 'cgroupfs', []],
  [{ runc: unset, crun: yes }, 'cgroupfs', 'cgroupfs', ['crun']],
  [{ runc: no, crun: yes }, 'cgroupfs', 'cgroupfs', ['crun']],
  [{ runc: yes, crun: unset }, 'systemd', 'systemd', ['crun']],
  [{ runc: yes, crun: no, youki: yes }, 'systemd', 'systemd', ['crun']],
  [{ runc: yes, kata }, 'systemd', 'systemd', []],
  [{ runc: unset, kata: kataFile }, 'cgroupfs', 'cgroupfs', []],
  // If the default handler does not set a driver, the first of the others by name decides.
  [{ kata, runc: yes, crun: unset }, 'cgroupfs', 'cgroupfs', ['runc']],
  [{ kata, runc: yes }, 'systemd', 'systemd', []],
  [{ kata, spin: inlineYes }, 'systemd', 'systemd', []],
  [{ kata }, 'cgroupfs', 'systemd', []],
  [{ kata: kataFile, spin: otherBody }, 'cgroupfs', 'systemd', []],
];

const WIRE = { cgroupfs: CgroupDriver.CGROUPFS, systemd: CgroupDriver.SYSTEMD } as Record<string, CgroupDriver>;

for (const [handlers, without, withSystemd, faulty] of NODES) {
  const name = Object.entries(handlers).map(([key, [, options]]) => `${key} ${JSON.stringify(options)}`);
  test(`the driver of a node with ${name.join(', ')}`, () => {
    const config = configOf(handlers);
    assert.deepEqual(
      [false, true].map((systemd) => nodeCgroupDriver(config, systemd)),
      [without, withSystemd],
    );
    assert.deepEqual(
      [false, true].map((systemd) => runtimeConfig({ config, systemd })().linux?.cgroup_driver),
      [WIRE[without], WIRE[withSystemd]],
    );
    const findings = checkCgroups(config, { systemd: true, version: 2 });
    assert.deepEqual(
      findings.filter(({ level }) => level === 'fault').map(({ subject }) => subject),
      faulty.map((each) => `handler ${each}`),
    );
    assertParentsSuit(config, withSystemd);
  });
}

/**
 * Asserts that a parent in the kubelet's form is refused only by handlers that cannot apply its limits, and is
 * converted to the form of the others.
 */
function assertParentsSuit(config: Config, told: string): void {
  const parent = told === 'systemd' ? SLICE : DIRECTORY;
  for (const [name, handler] of Object.entries(config.runtime.containerd.runtimes)) {
    const driver = handlerCgroupDriver(handler);
    const refused = driver !== undefined && driver !== told;
    if (refused)
      assert.match(
        refusal(() => checkCgroupDriver(parent, name, driver)),
        /^INVALID_ARGUMENT/,
      );
    else checkCgroupDriver(parent, name, driver);
    const path = cgroupsPath(parent, 'c1', { driver, namespace: 'k8s.io' });
    assert.equal(path, told === 'systemd' ? 'kubepods-pod1.slice:cri-containerd:c1' : '/kubepods/pod1/c1');
  }
}

test('doctor: the requirements of a driver on the node', () => {
  const of = (row: HandlerRow, systemd: boolean, version: 1 | 2): string[] =>
    checkCgroups(configOf({ runc: row }), { systemd, version }).map(({ level, message }) => `${level}: ${message}`);
  const isTold = (driver: string, version: number): string =>
    `ok: v${version}, driver ${driver}, which the kubelet has to use too`;
  assert.deepEqual(
    [of(yes, true, 2), of(unset, false, 2), of(unset, true, 1)],
    [[isTold('systemd', 2)], [isTold('cgroupfs', 2)], [isTold('cgroupfs', 1)]],
  );
  assert.deepEqual(of(yes, false, 1), [
    isTold('systemd', 1),
    'fault: SystemdCgroup is set, but systemd does not run on this node: its containers cannot start',
  ]);
  assert.match(of(unset, true, 2)[1] ?? '', /^warning: systemd owns the tree of cgroup v2.*SystemdCgroup = true/);
});

test('a cgroup parent of the other driver is refused by name; without a parent, and with an unknown driver, nothing is refused', () => {
  const refused = (parent: string, driver: 'systemd' | 'cgroupfs'): string =>
    refusal(() => checkCgroupDriver(parent, 'crun', driver));
  assert.deepEqual(
    [
      refused(DIRECTORY, 'systemd'),
      refused('/', 'systemd'),
      refused(SLICE, 'cgroupfs'),
      refused('a.slice', 'cgroupfs'),
    ],
    [
      `INVALID_ARGUMENT config.linux.cgroup_parent: "${DIRECTORY}" does not end in .slice, and the runtime handler "crun" uses the systemd cgroup driver`,
      'INVALID_ARGUMENT config.linux.cgroup_parent: "/" does not end in .slice, and the runtime handler "crun" uses the systemd cgroup driver',
      `INVALID_ARGUMENT config.linux.cgroup_parent: "${SLICE}" is a slice of systemd's, and the runtime handler "crun" uses the cgroupfs cgroup driver (SystemdCgroup is not set in its options)`,
      'INVALID_ARGUMENT config.linux.cgroup_parent: "a.slice" is a slice of systemd\'s, and the runtime handler "crun" uses the cgroupfs cgroup driver (SystemdCgroup is not set in its options)',
    ],
  );
  for (const driver of ['systemd', 'cgroupfs', undefined] as const) checkCgroupDriver('', 'crun', driver);
  for (const parent of [SLICE, DIRECTORY]) checkCgroupDriver(parent, 'crun', undefined);
});

test("another driver changes nothing else of a runtime's options, and those of no other runtime", () => {
  const runtime = { name: RUNC, options: runtimeOptions(RUNC, { BinaryName: 'crun', Root: '/r' }) };
  const changed = withCgroupDriver(runtime, 'systemd');
  assert.deepEqual(decodeRuntimeOptions(changed.options!), { binary_name: 'crun', root: '/r', systemd_cgroup: true });
  assert.equal(cgroupDriverOf(withCgroupDriver({ name: RUNC }, 'systemd')), 'systemd');
  assert.equal(cgroupDriverOf(withCgroupDriver(changed, 'cgroupfs')), 'cgroupfs');
  const same = [runtime, { name: KATA }] as const;
  assert.deepEqual(
    same.map((each) => withCgroupDriver(each, 'cgroupfs') === each),
    [true, true],
  );
});
