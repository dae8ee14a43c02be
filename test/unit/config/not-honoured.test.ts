import assert from 'node:assert/strict';
import { test } from 'node:test';
import { defaultConfig, defaultRuntimeHandler } from '../../../src/config/defaults.js';
import { defaultTransferSettings } from '../../../src/config/transfer-settings.js';
import { notHonoured } from '../../../src/config/not-honoured.js';

test('options without effect are named when they are set, and only then', () => {
  const config = defaultConfig();
  assert.deepEqual(notHonoured(config), []);
  config.images.use_local_image_pull = true;
  config.runtime.containerd.runtimes['kata'] = { ...defaultRuntimeHandler(), io_type: 'streaming' };
  assert.deepEqual(notHonoured(config), [
    'images.use_local_image_pull is set and has no effect: crid pulls through the Transfer service',
    'runtime.containerd.runtimes.kata.io_type is set and has no effect: streams go through FIFOs',
  ]);
});

test("an option of the pull that containerd's transfer service has too is named unless both are equal", () => {
  const config = defaultConfig();
  config.images.max_concurrent_downloads = 5;
  const named = /^images\.max_concurrent_downloads is set and has no effect: containerd pulls, set it in plugins\./;
  assert.match(notHonoured(config).join('\n'), named);
  assert.deepEqual(notHonoured(config, { ...defaultTransferSettings(), maxConcurrentDownloads: 5 }), []);
});

test('options of containerd 2.3 that 2.4 has removed are honoured or named', () => {
  const config = defaultConfig();
  config.runtime.enable_experimental_restore_via_create = true;
  assert.match(
    notHonoured(config).join('\n'),
    /^runtime\.enable_experimental_restore_via_create .*2\.4 has removed it/,
  );
});
