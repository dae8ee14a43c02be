import assert from 'node:assert/strict';
import { join } from 'node:path';
import { after, afterEach, before, describe, it } from 'node:test';
import { ContainerState, PodSandboxState } from '../../../generated/runtime/v1/api.js';
import { run } from '../../../tools/stack/exec.js';
import { shimsOf } from '../../../tools/stack/leftovers.js';
import { projectRoot } from '../../../tools/stack/project.js';
import { until } from '../../../tools/stack/wait.js';
import { assertLeavesNothing, leaks, type Inventory } from '../../harness/leaks.js';
import { pullImage, removeAllPods } from '../../harness/pod.js';
import { limitMs } from '../../harness/slowness.js';
import { testStack, type TestStack } from '../../harness/test-stack.js';
import { PHASES, startFaultyCrid, stepsOf, type FaultyCrid } from '../recovery/faults.js';
import { createSlowRunc, MODES, type Mode, type SlowRunc } from '../recovery/slow-runc.js';
import { assertTruth } from '../recovery/truth.js';
import { pinnedPod } from './pinned-pod.js';

const START = 'start container';
const LIMIT_MS = 20_000;
const ENDINGS = ['started again', 'removed with its pod'] as const;
const program = process.env['CRID_TEST_PROGRAM'] ?? join(projectRoot, 'bin', 'crid');

/** The start of a pod's first container starts the shim. */
describe('the first container of a pod', { timeout: 600_000 }, () => {
  let stack: TestStack;
  let crid: FaultyCrid;
  let runc: SlowRunc;
  let nothing: Inventory;

  before(async () => {
    stack = await testStack();
    runc = await createSlowRunc(stack);
    const handler = { sandboxer: 'pinned', options: { BinaryName: runc.program } };
    crid = await startFaultyCrid(stack, { config: { runtime: { containerd: { runtimes: { runc: handler } } } } });
    await pullImage(crid);
    nothing = await leaks(stack);
  });
  after(async () => {
    await runc.pass();
    await crid.clearFault();
    await removeAllPods(crid);
    await assertLeavesNothing(stack, nothing);
    await crid.stop();
  });

  // The rest of a failed test would fail the others.
  afterEach(async () => {
    await runc.pass();
    await crid.clearFault();
    await removeAllPods(crid);
  });

  const start = (id: string): Promise<unknown> => crid.runtime.startContainer({ container_id: id });
  const killShim = async (id: string): Promise<void> => {
    const shim = (await shimsOf(stack.containerd.socket)).find((each) => each.id === id);
    assert.ok(shim, `no shim of container ${id}`);
    process.kill(shim.pid, 'SIGKILL');
  };
  /** Starts a container whose create hangs. */
  const hangIn = async (mode: Mode, id: string): Promise<{ starting: Promise<unknown> }> => {
    await runc.hang(mode);
    const starting = start(id);
    starting.catch(() => undefined);
    await runc.reached();
    return { starting };
  };

  const status = async (id: string): Promise<{ state: ContainerState; reason: string; message: string }> => {
    const { status: found } = await crid.runtime.containerStatus({ container_id: id });
    assert.ok(found);
    return found;
  };
  /** After a kill: the records are true, the pod is ready, and its container starts or is removed with the pod. */
  const goesOn = async (pod: Awaited<ReturnType<typeof pinnedPod>>, id: string, ending: (typeof ENDINGS)[number]) => {
    await assertTruth(crid, stack);
    const { status: ofPod } = await crid.runtime.podSandboxStatus({ pod_sandbox_id: pod.id });
    assert.equal(ofPod?.state, PodSandboxState.SANDBOX_READY);
    if (ending === 'started again') {
      if ((await status(id)).state !== ContainerState.CONTAINER_RUNNING) await start(id);
      assert.equal((await pod.exec(id, ['echo', 'here'])).stdout, 'here\n');
    }
    await pod.remove();
    await assertLeavesNothing(stack, nothing);
  };

  for (const ending of ENDINGS) {
    it(`kill -9 of crid before and after each step of its start, then ${ending}`, async () => {
      const steps = await stepsOf(crid, START, async () => {
        const pod = await pinnedPod(crid, stack);
        await pod.run();
        await pod.remove();
      });
      assert.ok(steps.includes('create task'), steps.join());
      for (const where of steps.flatMap((step) => PHASES.map((phase) => `${START}/${step}:${phase}`))) {
        let started = 'not reached';
        try {
          const pod = await pinnedPod(crid, stack);
          const id = await pod.create();
          await crid.setFault(`${where}=kill`);
          started = await start(id).then(() => 'it succeeded', String);
          await crid.revive();
          await goesOn(pod, id, ending);
        } catch (error) {
          throw new Error(`killed at ${where}: ${String(error)} (the start: ${started})`, { cause: error });
        }
      }
    });
    for (const mode of MODES) {
      it(`kill -9 of crid while the runtime hangs in its create, ${mode} its init process is there, then ${ending}`, async () => {
        const pod = await pinnedPod(crid, stack);
        const id = await pod.create();
        const { starting } = await hangIn(mode, id);
        await runc.pass();
        await crid.kill9();
        await assert.rejects(starting);
        await crid.start();
        await crid.settled();
        await goesOn(pod, id, ending);
        await runc.ended();
        await assertLeavesNothing(stack, nothing);
      });
    }
  }

  for (const mode of ['instead', 'after'] as const) {
    it(`its shim is killed while its create hangs (${mode}): the create is sent once more`, async () => {
      const pod = await pinnedPod(crid, stack);
      const id = await pod.create();
      const { starting } = await hangIn(mode, id);
      await runc.pass();
      await killShim(id);
      await starting;
      assert.equal((await pod.exec(id, ['echo', 'here'])).stdout, 'here\n');
      await assertTruth(crid, stack);
      await pod.remove();
      await assertLeavesNothing(stack, nothing);
    });
  }

  it('its shim is killed in both creates: the start fails and says so, and the next container brings a shim', async () => {
    const pod = await pinnedPod(crid, stack);
    const id = await pod.create();
    const { starting } = await hangIn('instead', id);
    await runc.hang('instead');
    await killShim(id);
    await runc.reached();
    await runc.pass();
    await killShim(id);
    await assert.rejects(starting, /create task: .*the shim has ended during the create/);
    const { state, reason, message } = await status(id);
    assert.deepEqual([state, reason], [ContainerState.CONTAINER_EXITED, 'StartError']);
    assert.match(message, /the shim has ended during the create/);
    await assertTruth(crid, stack);
    const next = await pod.run();
    assert.equal((await pod.exec(next, ['echo', 'here'])).stdout, 'here\n');
    await pod.remove();
    await assertLeavesNothing(stack, nothing);
  });

  it('its shim is killed and a child of the runtime lives on: the start ends with the child, and nothing is left', async () => {
    const pod = await pinnedPod(crid, stack);
    const id = await pod.create();
    const { starting } = await hangIn('before', id);
    await runc.pass();
    await killShim(id);
    await assert.rejects(starting, /create task: .*the shim has ended during the create/);
    await assertTruth(crid, stack);
    const next = await pod.run();
    assert.equal((await pod.exec(next, ['echo', 'here'])).stdout, 'here\n');
    await pod.remove();
    await assertLeavesNothing(stack, nothing);
  });

  it('crid why names the shim that its create waits for, and the create that another one waits for', async () => {
    const pod = await pinnedPod(crid, stack);
    const [first, second] = [await pod.create(), await pod.create()];
    const { starting } = await hangIn('instead', first);
    await runc.pass();
    const shim = (await shimsOf(stack.containerd.socket)).find(({ id }) => id === first);
    assert.ok(shim, `no shim of container ${first}`);
    const waiting = start(second);
    waiting.catch(() => undefined);
    const lines = await until('both are shown', limitMs(LIMIT_MS), async () => {
      const text = await run(program, ['why', pod.id, '--socket', crid.socket], { timeoutMs: LIMIT_MS });
      const found = text.split('\n').filter((line) => line.startsWith('  create task: '));
      return found.length === 2 ? found : undefined;
    });
    assert.deepEqual(lines.map((line) => line.replace(/for [\d.]+ s, /, '')).sort(), [
      `  create task: waiting for shim ${shim.pid} (sleeping) to answer tasks.create`,
      `  create task: waiting for the shim of pod ${pod.id} to create container ${first}`,
    ]);
    await Promise.allSettled([starting, waiting]);
    await pod.remove();
    await assertLeavesNothing(stack, nothing);
  });
});
