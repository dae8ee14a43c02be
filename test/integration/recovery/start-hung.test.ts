import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import { RuntimeServiceDefinition } from '../../../generated/runtime/v1/api.js';
import { projectRoot } from '../../../tools/stack/project.js';
import { until } from '../../../tools/stack/wait.js';
import { startCrid, type Crid } from '../../harness/crid.js';
import { pullImage, runPod, type RunningPod } from '../../harness/pod.js';
import { startStack, testStack, type Stack } from '../../harness/test-stack.js';
import { callWithin } from '../rpc/deadline.js';
import { prompt } from './calls.js';

const LIMIT_MS = 60_000;
/** crid responds earlier, with an error that names what it waits for. */
const CALL_MS = 8_000;

/** The first calls must return a result, or an error that names what the start waits for. */
describe('a start while containerd does not answer', { timeout: 240_000 }, () => {
  let stack: Stack;
  let crid: Crid;
  let pod: RunningPod;

  before(async () => {
    stack = await startStack({ registryUrl: (await testStack()).registry.url });
    crid = await startCrid(stack);
    await pullImage(crid);
    pod = await runPod(crid, stack);
  });
  after(async () => {
    await crid.kill9();
    crid.close();
    await stack.dispose();
  });

  const version = (): Promise<{ code: string; message: string }> =>
    callWithin(crid.socket, RuntimeServiceDefinition.methods.version, { version: '' }, CALL_MS);
  /** Returns the error of a call once the socket exists. */
  const told = (): Promise<string> =>
    until('crid has made its socket', LIMIT_MS, async () => {
      const { code, message } = await version();
      return code === 'UNAVAILABLE' && message.startsWith('crid ') ? message : undefined;
    });
  const pods = async (): Promise<string[]> =>
    (await crid.runtime.listPodSandbox({}, prompt())).items.map(({ id }) => id);

  it('containerd is frozen: calls name it, and are answered when it continues', async () => {
    await crid.kill9();
    process.kill(stack.containerd.pid(), 'SIGSTOP');
    const started = crid.start();
    try {
      assert.equal(await told(), 'crid is starting, waiting for containerd to answer introspection.version');
    } finally {
      process.kill(stack.containerd.pid(), 'SIGCONT');
    }
    await started;
    assert.deepEqual(await pods(), [pod.id]);
  });

  it('containerd is stopped: calls name it, and crid ends with the reason', async () => {
    await crid.kill9();
    await stack.containerd.stop();
    const program = process.env['CRID_TEST_PROGRAM'] ?? join(projectRoot, 'bin', 'crid');
    const args = ['serve', '--containerd-config', stack.containerd.config, '--listen', crid.socket];
    const process_ = spawn(program, args, { stdio: ['ignore', 'ignore', 'pipe'] });
    let errors = '';
    process_.stderr.on('data', (data: Buffer) => void (errors += data.toString()));
    const closed = once(process_, 'close');
    try {
      assert.equal(await told(), 'crid is starting, waiting for containerd to answer introspection.version');
      assert.deepEqual(await closed, [1, null]);
    } finally {
      process_.kill('SIGKILL');
      await stack.containerd.start();
    }
    assert.match(errors, new RegExp(`containerd at ${stack.containerd.socket} is not reachable`));
    await crid.start();
    assert.deepEqual(await pods(), [pod.id]);
  });
});
