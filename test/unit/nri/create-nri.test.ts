import assert from 'node:assert/strict';
import { test } from 'node:test';
import { defaultConfig } from '../../../src/config/defaults.js';
import { createNri } from '../../../src/nri/create-nri.js';

type Options = Parameters<typeof createNri>[0];

/** Whether NRI is on. Where it is off, no part of the node is touched. */
function isOn(config: Partial<Options['config']>): boolean {
  const listens = { onChange: () => () => undefined };
  const state = { pods: listens, containers: listens } as unknown as Options['state'];
  const parts = { log: undefined, containerd: {}, version: '', onCall: () => undefined } as unknown as Options;
  return createNri({ ...parts, state, config: { ...defaultConfig().nri, ...config } }) !== undefined;
}

test('NRI is on by default; crid and containerd can each turn it off', () => {
  assert.deepEqual([{}, { enabled: false }, { disable: true }].map(isOn), [true, false, false]);
});
