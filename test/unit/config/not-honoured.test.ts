import assert from 'node:assert/strict';
import { test } from 'node:test';
import { defaultConfig, defaultRuntimeHandler } from '../../../src/config/defaults.js';
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
