import assert from 'node:assert/strict';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test, type TestContext } from 'node:test';
import { defaultConfig, type Config } from '../../../src/config/schema.js';
import { annotatedBlockIo } from '../../../src/containers/block-io-class.js';
import type { OciBlockIo } from '../../../src/spec/oci.js';

const POD = { 'blockio.resources.beta.kubernetes.io/pod': 'light' };

async function configWith(t: TestContext, text: string): Promise<Config> {
  const folder = await mkdtemp(join(tmpdir(), 'crid-block-io-'));
  t.after(() => rm(folder, { recursive: true }));
  const config = defaultConfig();
  config.runtime.blockio_config_file = join(folder, 'blockio.yaml');
  await writeFile(config.runtime.blockio_config_file, text);
  return config;
}

const ofPod = (config: Config, annotations: Record<string, string> = POD): Promise<OciBlockIo | undefined> =>
  annotatedBlockIo({ config }, ['main', {}, annotations]);

test('the class that an annotation names is read from the file, and no annotation needs no file', async (t) => {
  const config = await configWith(t, 'Classes:\n  light:\n    - Weight: 20\n');
  assert.deepEqual(
    [await ofPod(config), await ofPod(config, {}), await ofPod(defaultConfig(), {})],
    [{ weight: 20 }, undefined, undefined],
  );
});

test('a class is refused by name if there is none, and without a file, unless that is to be ignored', async (t) => {
  const config = await configWith(t, 'Classes: {}\n');
  await assert.rejects(ofPod(config), {
    code: 'INVALID_ARGUMENT',
    message: 'config.annotations: there is no block I/O class "light"',
  });
  const none = defaultConfig();
  await assert.rejects(ofPod(none), { code: 'FAILED_PRECONDITION', message: /"light" is refused/ });
  none.runtime.containerd.ignore_blockio_not_enabled_errors = true;
  assert.equal(await ofPod(none), undefined);
});

test('a file that cannot be read is named in the error', async (t) => {
  const config = await configWith(t, 'Classes: [1');
  await assert.rejects(ofPod(config), {
    code: 'FAILED_PRECONDITION',
    message: /^blockio_config_file ".*blockio\.yaml"/,
  });
});
