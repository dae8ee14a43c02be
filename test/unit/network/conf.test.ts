import assert from 'node:assert/strict';
import { mkdir, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { test } from 'node:test';
import { createLab, fail, never, pod } from './fake-plugins.js';

const NET = { cniVersion: '1.0.0', name: 'net', plugins: [{ type: 'bridge' }] };

interface Shown {
  readonly Networks: readonly { readonly IFName: string; readonly Config: { Name: string; CNIVersion: string } }[];
}
const shown = (config: unknown): string[] =>
  (config as Shown).Networks.map(({ IFName, Config }) => `${IFName} ${Config.Name} ${Config.CNIVersion}`);

test('files are used in lexical order, as many as max_conf_num allows', async (t) => {
  const lab = await createLab(t);
  await lab.conf('20-b.conf', { cniVersion: '0.3.1', name: 'b', type: 'bridge' });
  await lab.conf('10-a.conflist', { ...NET, name: 'a', cniVersions: ['0.4.0', '1.1.0', '9.0.0'] });
  await lab.conf('30-c.json', { name: 'c', type: 'bridge' });
  await lab.conf('05-ignored.txt', 'x');
  await mkdir(join(lab.confDir, '00-dir.conf'));
  const of = async (maxConfNum: number): Promise<string[]> => {
    const { config } = await lab.network({ maxConfNum, useInternalLoopback: true, bringUpLoopback: () => {} }).status();
    return shown(config);
  };
  assert.deepEqual(
    { one: await of(1), two: await of(2), all: await of(0) },
    { one: ['eth0 a 1.1.0'], two: ['eth0 a 1.1.0', 'eth1 b 0.3.1'], all: ['eth0 a 1.1.0', 'eth1 b 0.3.1', 'eth2 c '] },
  );
});

const broken = {
  'x.conflist': [
    [
      '{',
      /^failed to load CNI config list file .*\/x\.conflist: not JSON: .*: invalid cni config: cni plugin not initialized$/,
    ],
    ['[]', /x\.conflist: expected an object, found a list: invalid cni config: cni plugin/],
    [{ plugins: [] }, /: name: missing: /],
    [{ ...NET, name: 'a/b' }, /: name: "a\/b" has characters that CNI does not allow: /],
    [{ ...NET, cniVersion: 1 }, /: cniVersion: expected a string, found a number: /],
    [{ ...NET, cniVersions: ['x'] }, /: cniVersions\[0\]: "x" is not a version: /],
    [{ ...NET, plugins: [] }, /: plugins: empty: /],
    [{ name: 'net' }, /: plugins: missing: /],
    [{ ...NET, plugins: [{ type: 'a' }, {}] }, /: plugins\[1\]\.type: missing: /],
    [{ ...NET, plugins: [{ type: '../sh' }] }, /: plugins\[0\]\.type: "\.\.\/sh" must not contain a slash: /],
    [{ ...NET, disableCheck: 'maybe' }, /: disableCheck: expected true or false, found "maybe": /],
  ],
  'x.conf': [[NET, /^failed to load CNI config file .*\/x\.conf: type: missing; a list of plugins belongs in/]],
} as const;

for (const [file, cases] of Object.entries(broken)) {
  for (const [content, expected] of cases) {
    test(`${file} with ${JSON.stringify(content)} is refused by file and field`, async (t) => {
      const lab = await createLab(t);
      await lab.conf(file, content);
      const { ready, message, lastLoadError } = await lab.network().status();
      assert.equal(ready, false);
      assert.match(message, expected);
      assert.match(lastLoadError, /^cni config load failed: failed to load .*: failed to load cni config$/);
    });
  }
}

test('status names what is missing, and follows the directory: created later, changed, removed', async (t) => {
  const lab = await createLab(t);
  await lab.plugin('bridge');
  const confDir = join(lab.dir, 'later');
  const network = lab.network({ confDir });
  const none = `no network config found in ${confDir}: cni plugin not initialized`;
  const missing = await network.status();
  assert.deepEqual(
    [missing.ready, missing.message, missing.lastLoadError],
    [false, none, `cni config load failed: ${none}: failed to load cni config`],
  );
  await assert.rejects(network.attach(pod(), never()), { code: 'FAILED_PRECONDITION', message: none });

  const seen: string[][] = [];
  const look = async (): Promise<void> => {
    const { ready, config } = await network.status();
    seen.push([String(ready), ...shown(config).slice(1)]);
  };
  await mkdir(confDir);
  await writeFile(join(confDir, '1.conflist'), JSON.stringify(NET));
  await look();
  await writeFile(join(confDir, '0.conflist'), JSON.stringify({ ...NET, name: 'other' }));
  await look();
  await rm(confDir, { recursive: true });
  await look();
  assert.deepEqual(seen, [['true', 'eth0 net 1.0.0'], ['true', 'eth0 other 1.0.0'], ['false']]);
});

test("plugins in the network's own folder belong to it, and stay known to the cache", async (t) => {
  const lab = await createLab(t);
  await Promise.all([lab.plugin('bridge'), lab.plugin('tuning'), lab.conf('1.conflist', NET)]);
  await mkdir(join(lab.confDir, 'net'));
  await writeFile(join(lab.confDir, 'net/50-tuning.conf'), JSON.stringify({ type: 'tuning' }));
  const network = lab.network();
  await network.attach(pod(), never());
  await rm(join(lab.confDir, 'net'), { recursive: true });
  await network.detach(pod(), never());
  assert.deepEqual(await lab.calls(), ['ADD bridge eth0', 'ADD tuning eth0', 'DEL tuning eth0', 'DEL bridge eth0']);
});

test('STATUS is asked of networks that speak 1.1.0, and not again at once', async (t) => {
  const lab = await createLab(t);
  await lab.plugin('bridge', { status: fail('no addresses left', 50) });
  await lab.plugin('vlan', { status: fail('never asked') });
  await lab.conf('1.conflist', { ...NET, cniVersion: '1.1.0' });
  await lab.conf('2.conf', { cniVersion: '1.0.0', name: 'old', type: 'vlan' });
  const network = lab.network({ maxConfNum: 0 });
  const { ready, message, lastLoadError } = await network.status();
  await network.status();
  assert.deepEqual(
    { ready, message, lastLoadError, calls: await lab.calls(), input: await lab.input('bridge', 'STATUS') },
    {
      ready: false,
      message: 'plugin type="bridge" name="net" failed (status): no addresses left',
      lastLoadError: '',
      calls: ['STATUS bridge '],
      input: { type: 'bridge', name: 'net', cniVersion: '1.1.0' },
    },
  );
});
