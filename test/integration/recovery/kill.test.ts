import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import { ContainerState, PodSandboxState } from '../../../generated/runtime/v1/api.js';
import { until } from '../../../tools/stack/wait.js';
import { assertLeavesNothing, leaks, type Inventory } from '../../harness/leaks.js';
import { containerConfig, podConfig, pullImage, removeAllPods, runPod, type RunningPod } from '../../harness/pod.js';
import { SHARED_PIDS } from '../../harness/sandboxer.js';
import { testStack, type TestStack } from '../../harness/test-stack.js';
import { PHASES, startFaultyCrid, stepsOf, type FaultyCrid } from './faults.js';
import { assertTruth } from './truth.js';

const LIMIT_MS = 20_000;
/** Ends only on SIGKILL. */
const STUBBORN = 'trap "" TERM; echo ready; sleep 1000';

/** A kind of call, on a new object each time. */
interface Attempt {
  /** Called until it succeeds, always with the same request. */
  call(): Promise<unknown>;
  /** Whether the call has had its effect. */
  holds(): Promise<boolean>;
  /** Removes the object. */
  cleanUp(): Promise<void>;
}

describe('kill -9 at each step, and a restart', { timeout: 850_000 }, () => {
  let stack: TestStack;
  let crid: FaultyCrid;
  let pod: RunningPod;
  let nothing: Inventory;
  let stopSteps: readonly string[] = [];

  before(async () => {
    stack = await testStack();
    crid = await startFaultyCrid(stack);
    await pullImage(crid);
    // The first pod pulls the pause image, which stays.
    await (await runPod(crid, stack)).remove();
    nothing = await leaks(stack);
    pod = await runPod(crid, stack);
  });
  after(async () => {
    await crid.clearFault();
    await removeAllPods(crid);
    await assertLeavesNothing(stack, nothing);
    await crid.stop();
  });

  /** Kills crid at each step of the operation, except those in `done`. Returns all steps. */
  const killAtEachStep = async (
    kind: string,
    attempt: () => Promise<Attempt> | Attempt,
    done: readonly string[] = [],
  ): Promise<string[]> => {
    const idle = await leaks(stack);
    const clean = await attempt();
    const steps = await stepsOf(crid, kind, () => clean.call());
    await clean.cleanUp();
    for (const step of steps.filter((each) => !done.includes(each))) {
      for (const phase of PHASES) {
        const where = `${kind}/${step}:${phase}`;
        try {
          await killAt(where, await attempt());
          await assertLeavesNothing(stack, idle);
        } catch (error) {
          throw new Error(`killed at ${where}: ${String(error)}`, { cause: error });
        }
      }
    }
    return steps;
  };
  const killAt = async (where: string, { call, holds, cleanUp }: Attempt): Promise<void> => {
    await crid.setFault(`${where}=kill`);
    await assert.rejects(call());
    await crid.revive();
    await assertTruth(crid, stack);
    if (!(await holds())) await call();
    assert.ok(await holds(), 'the retry has succeeded');
    await assertTruth(crid, stack);
    await cleanUp();
  };
  const stateOf = async (id: string): Promise<ContainerState | undefined> => {
    const { containers } = await crid.runtime.listContainers({ filter: { id } });
    return containers[0]?.state;
  };

  const podState = async (id: string): Promise<PodSandboxState | undefined> =>
    (await crid.runtime.listPodSandbox({ filter: { id } })).items[0]?.state;
  const removeContainer = async (id: string): Promise<void> => {
    await crid.runtime.removeContainer({ container_id: id });
  };

  it('run pod sandbox', async () => {
    await killAtEachStep('run pod sandbox', async () => {
      const config = await podConfig(stack);
      let id = '';
      return {
        call: async () => (id = (await crid.runtime.runPodSandbox({ config })).pod_sandbox_id),
        holds: async () =>
          id !== '' && (await podState(id)) === PodSandboxState.SANDBOX_READY && (await hasNetwork(id)),
        cleanUp: async () => {
          await crid.runtime.stopPodSandbox({ pod_sandbox_id: id });
          await crid.runtime.removePodSandbox({ pod_sandbox_id: id });
        },
      };
    });
  });

  it('run pod sandbox, when all records exist and the pause process does not run yet', async () => {
    const idle = await leaks(stack);
    const config = await podConfig(stack, SHARED_PIDS);
    const seen = (await crid.logLines()).length;
    await crid.setFault('run pod sandbox/start pause task:before=hang');
    const call = crid.runtime.runPodSandbox({ config });
    call.catch(() => undefined);
    await until('all is written down', LIMIT_MS, async () => {
      const lines = (await crid.logLines()).slice(seen);
      return lines.some(({ msg, step }) => msg === 'step done' && step === 'record completion') ? true : undefined;
    });
    await crid.kill9();
    await assert.rejects(call);
    await crid.clearFault();
    await crid.start();
    await crid.settled();
    await assertTruth(crid, stack);
    await assertLeavesNothing(stack, idle);
    const { pod_sandbox_id: id } = await crid.runtime.runPodSandbox({ config });
    assert.equal(await podState(id), PodSandboxState.SANDBOX_READY);
    await crid.runtime.removePodSandbox({ pod_sandbox_id: id });
  });

  it('create container', async () => {
    await killAtEachStep('create container', () => {
      const request = {
        pod_sandbox_id: pod.id,
        config: containerConfig({ command: ['sh', '-c', STUBBORN] }),
        sandbox_config: pod.config,
      };
      let id = '';
      return {
        call: async () => (id = (await crid.runtime.createContainer(request)).container_id),
        holds: async () => id !== '' && (await stateOf(id)) === ContainerState.CONTAINER_CREATED,
        cleanUp: () => removeContainer(id),
      };
    });
  });

  it('start container', async () => {
    await killAtEachStep('start container', async () => {
      const id = await pod.create({ command: ['sh', '-c', STUBBORN] });
      return {
        call: () => crid.runtime.startContainer({ container_id: id }),
        holds: async () => (await stateOf(id)) === ContainerState.CONTAINER_RUNNING,
        cleanUp: () => removeContainer(id),
      };
    });
  });

  it('stop container', async () => {
    await killAtEachStep('stop container', async () => {
      const id = await pod.runReady('stubborn', STUBBORN);
      return {
        call: () => crid.runtime.stopContainer({ container_id: id, timeout: 1n }),
        holds: async () => (await stateOf(id)) === ContainerState.CONTAINER_EXITED,
        cleanUp: () => removeContainer(id),
      };
    });
  });

  it('remove container', async () => {
    await killAtEachStep('remove container', async () => {
      const id = await pod.runReady('stubborn', STUBBORN);
      return {
        call: () => removeContainer(id),
        holds: async () => (await stateOf(id)) === undefined,
        cleanUp: () => Promise.resolve(),
      };
    });
  });

  it('stop pod sandbox', async () => {
    stopSteps = await killAtEachStep('stop pod sandbox', async () => {
      const { id, runReady } = await runPod(crid, stack);
      await runReady('stubborn', STUBBORN);
      return {
        call: () => crid.runtime.stopPodSandbox({ pod_sandbox_id: id }),
        holds: async () => (await podState(id)) === PodSandboxState.SANDBOX_NOTREADY && !(await hasNetwork(id)),
        cleanUp: async () => void (await crid.runtime.removePodSandbox({ pod_sandbox_id: id })),
      };
    });
  });

  it('remove pod sandbox', async () => {
    // The operation begins with the steps of a stop.
    const attempt = async (): Promise<Attempt> => {
      const { id, runReady } = await runPod(crid, stack);
      await runReady('stubborn', STUBBORN);
      return {
        call: () => crid.runtime.removePodSandbox({ pod_sandbox_id: id }),
        holds: async () => (await podState(id)) === undefined,
        cleanUp: () => Promise.resolve(),
      };
    };
    await killAtEachStep('remove pod sandbox', attempt, stopSteps);
  });

  /** Whether the pod has a network: its status has no address once the network is released. */
  const hasNetwork = async (id: string): Promise<boolean> =>
    (await crid.runtime.podSandboxStatus({ pod_sandbox_id: id })).status?.network?.ip !== '';
});
