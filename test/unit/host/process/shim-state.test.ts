import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { copyFile, mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { createShimStates } from '../../../../src/host/process/shim-state.js';

test('a shim is named by its pid and state, by any of its ids, and no longer once it has gone', async () => {
  const folder = await mkdtemp(join(tmpdir(), 'crid-shim-'));
  // A program with a shim's name, which ignores a shim's options and sleeps.
  const program = join(folder, 'containerd-shim-test-v1');
  await copyFile('/bin/sh', program);
  const options = ['-namespace', 'crid-unit', '-id', 'pod-1', '-address', '/nowhere'];
  const shim = spawn(program, ['-c', 'while :; do sleep 0.05; done', ...options], { stdio: 'ignore' });
  try {
    await new Promise((resolve) => setTimeout(resolve, 100));
    const states = createShimStates({ namespace: 'crid-unit' });
    assert.match(states.describe('pod-1', 'container-1'), new RegExp(`^shim ${shim.pid} \\((sleeping|running)\\)$`));
    shim.kill('SIGSTOP');
    await new Promise((resolve) => setTimeout(resolve, 50));
    assert.equal(states.describe('unknown', 'pod-1'), `shim ${shim.pid} (stopped)`);
    assert.equal(createShimStates({ namespace: 'another' }).describe('pod-1'), 'no shim');
    shim.kill('SIGKILL');
    await new Promise((resolve) => shim.once('exit', resolve));
    assert.equal(states.describe('pod-1'), 'no shim');
  } finally {
    shim.kill('SIGKILL');
    await rm(folder, { recursive: true });
  }
});
