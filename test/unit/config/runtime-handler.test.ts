import assert from 'node:assert/strict';
import { test } from 'node:test';
import { CriError } from '../../../src/base/errors.js';
import { defaultConfig } from '../../../src/config/defaults.js';
import { runtimeHandler } from '../../../src/config/runtime-handler.js';

test('a handler is found by its name; "" is the default one', () => {
  const config = defaultConfig();
  const { runc } = config.runtime.containerd.runtimes;
  assert.deepEqual([runtimeHandler(config, ''), runtimeHandler(config, 'runc')], [runc, runc]);
});

test('a handler that is not configured is refused by name', () => {
  for (const name of ['kata', 'toString']) {
    const refused = new CriError('INVALID_ARGUMENT', `runtime_handler: no runtime for "${name}" is configured`);
    assert.throws(() => runtimeHandler(defaultConfig(), name), refused);
  }
});
