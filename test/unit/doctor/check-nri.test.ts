import assert from 'node:assert/strict';
import { chmod, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, test } from 'node:test';
import { defaultConfig, type NriConfig } from '../../../src/config/schema.js';
import { checkNri, checkRegistered } from '../../../src/doctor/check-nri.js';

let folder = '';
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'crid-nri-'));
});
afterEach(() => rm(folder, { recursive: true }));

const nri = (more: Partial<NriConfig>): NriConfig => ({
  ...{ ...defaultConfig().nri, plugin_path: folder, plugin_config_path: folder },
  ...more,
});
async function addPlugin(name: string): Promise<void> {
  await writeFile(join(folder, name), '');
  await chmod(join(folder, name), 0o755);
}
const told = async (more: Partial<NriConfig>, shared = { warning: '', launches: true }): Promise<string[]> =>
  (await checkNri(nri(more), shared)).map(({ level, message }) => `${level}: ${message.replaceAll(folder, 'PATH')}`);

test('launched plugins are listed, and files with bad names', async () => {
  assert.deepEqual(await told({ enabled: true }), ['ok: on, no plugin in PATH']);
  for (const name of ['20-b', '10-a', 'logger']) await addPlugin(name);
  assert.deepEqual(await told({ enabled: true }), [
    'ok: on, crid launches 10-a, 20-b',
    'warning: PATH/logger is not launched: the name of a plugin is NN-NAME, with two digits',
  ]);
});

test("a containerd that serves NRI too is a warning, and crid's plugins are not launched", async () => {
  await addPlugin('10-a');
  assert.deepEqual(await told({ enabled: true }, { warning: 'both', launches: false }), [
    'ok: on, crid does not launch 10-a',
    'warning: both',
  ]);
});

test('plugins in the folder while NRI is off are a warning, which names the setting', async () => {
  assert.deepEqual(await told({ enabled: false }), ['ok: off']);
  await addPlugin('10-a');
  assert.deepEqual(
    [await told({ enabled: false }), await told({ enabled: true, disable: true })],
    [
      ['warning: off, and PATH has 10-a: set nri.enabled, or move the plugins away'],
      ['warning: off, and PATH has 10-a: remove nri.disable, or move the plugins away'],
    ],
  );
});

test('registered plugins are listed, and required ones that are not there are a warning', () => {
  const required: NriConfig['plugins'][string] = {
    ...{ required: true, failure_policy: 'ignore', exempt_namespaces: [], request_timeout: '' },
  };
  const config = nri({ plugins: { a: required, '20-b': required } });
  const registered = (...plugins: string[]): string[] =>
    checkRegistered(config, { nri: JSON.stringify({ plugins }) }).map(({ level, message }) => `${level}: ${message}`);
  assert.deepEqual(
    [checkRegistered(config, {}), registered('10-a', '20-b'), registered('10-b')],
    [
      [],
      ['ok: registered: 10-a, 20-b'],
      [
        'ok: registered: 10-b',
        'warning: the required plugin "a" is not registered: no container is created',
        'warning: the required plugin "20-b" is not registered: no container is created',
      ],
    ],
  );
});
