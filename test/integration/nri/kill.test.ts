import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { ContainerState, PodSandboxState } from '../../../generated/runtime/v1/api.js';
import type { PluginCall } from '../../../src/nri/port.js';
import { containerConfig, podConfig, removeAllPods, runPod, SLEEP } from '../../harness/pod.js';
import { assertTruth } from '../recovery/truth.js';
import { startSuite } from '../rpc/suite.js';
import { joinWirePlugin, type PluginHandlers } from './wire-plugin.js';

const LIMIT_MS = 20_000;

/** A call of a kubelet, on a new object each time. */
interface Attempt {
  /** Called until it succeeds, always with the same request. */
  call(): Promise<unknown>;
  /** Whether the call has had its effect. */
  holds(): Promise<boolean>;
}

describe('kill -9 of crid while it waits for a plugin', { timeout: 600_000 }, () => {
  const suite = startSuite();

  const stateOf = async (id: string): Promise<ContainerState | undefined> =>
    (await suite.crid.runtime.listContainers({ filter: { id } })).containers[0]?.state;
  const podState = async (id: string): Promise<PodSandboxState | undefined> =>
    (await suite.crid.runtime.listPodSandbox({ filter: { id } })).items[0]?.state;

  const runAttempt = async (): Promise<Attempt> => {
    const config = await podConfig(suite.stack);
    let id = '';
    return {
      call: async () => (id = (await suite.crid.runtime.runPodSandbox({ config })).pod_sandbox_id),
      holds: async () => id !== '' && (await podState(id)) === PodSandboxState.SANDBOX_READY,
    };
  };
  const createAttempt = async (): Promise<Attempt> => {
    const pod = await runPod(suite.crid, suite.stack);
    const request = { pod_sandbox_id: pod.id, config: containerConfig(), sandbox_config: pod.config };
    let id = '';
    return {
      call: async () => (id = (await suite.crid.runtime.createContainer(request)).container_id),
      holds: async () => id !== '' && (await stateOf(id)) === ContainerState.CONTAINER_CREATED,
    };
  };
  const startAttempt = async (): Promise<Attempt> => {
    const pod = await runPod(suite.crid, suite.stack);
    const id = await pod.create({ command: SLEEP });
    return {
      call: () => suite.crid.runtime.startContainer({ container_id: id }),
      holds: async () => (await stateOf(id)) === ContainerState.CONTAINER_RUNNING,
    };
  };
  const updateAttempt = async (): Promise<Attempt> => {
    const id = await (await runPod(suite.crid, suite.stack)).run();
    let isDone = false;
    return {
      async call() {
        await suite.crid.runtime.updateContainerResources({ container_id: id, linux: { cpu_shares: 300n } });
        isDone = true;
      },
      holds: async () => isDone,
    };
  };
  const updatePodAttempt = async (): Promise<Attempt> => {
    const { id } = await runPod(suite.crid, suite.stack);
    let isDone = false;
    return {
      async call() {
        await suite.crid.runtime.updatePodSandboxResources({ pod_sandbox_id: id, resources: { cpu_shares: 300n } });
        isDone = true;
      },
      holds: async () => isDone,
    };
  };
  const stopAttempt = async (): Promise<Attempt> => {
    const id = await (await runPod(suite.crid, suite.stack)).run();
    return {
      call: () => suite.crid.runtime.stopContainer({ container_id: id, timeout: 2n }),
      holds: async () => (await stateOf(id)) === ContainerState.CONTAINER_EXITED,
    };
  };
  const removeAttempt = async (): Promise<Attempt> => {
    const id = await (await runPod(suite.crid, suite.stack)).run();
    return {
      call: () => suite.crid.runtime.removeContainer({ container_id: id }),
      holds: async () => (await stateOf(id)) === undefined,
    };
  };
  const stopPodAttempt = async (): Promise<Attempt> => {
    const pod = await runPod(suite.crid, suite.stack);
    await pod.run();
    return {
      call: () => suite.crid.runtime.stopPodSandbox({ pod_sandbox_id: pod.id }),
      holds: async () => (await podState(pod.id)) === PodSandboxState.SANDBOX_NOTREADY,
    };
  };
  const removePodAttempt = async (): Promise<Attempt> => {
    const pod = await runPod(suite.crid, suite.stack);
    await pod.run();
    await suite.crid.runtime.stopPodSandbox({ pod_sandbox_id: pod.id });
    return {
      call: () => suite.crid.runtime.removePodSandbox({ pod_sandbox_id: pod.id }),
      holds: async () => (await podState(pod.id)) === undefined,
    };
  };

  /** The process keeps no test alive. */
  const ended = async (): Promise<number | string> => {
    const late = new AbortController();
    const alive = sleep(LIMIT_MS, 'still running', { signal: late.signal }).catch(() => 'aborted');
    const end = await Promise.race([suite.crid.ended(), alive]);
    late.abort();
    return end;
  };

  const HOOKS: Readonly<Record<PluginCall, () => Promise<Attempt>>> = {
    RunPodSandbox: runAttempt,
    CreateContainer: createAttempt,
    ValidateContainerAdjustment: createAttempt,
    PostCreateContainer: createAttempt,
    StartContainer: startAttempt,
    PostStartContainer: startAttempt,
    UpdateContainer: updateAttempt,
    PostUpdateContainer: updateAttempt,
    UpdatePodSandbox: updatePodAttempt,
    PostUpdatePodSandbox: updatePodAttempt,
    StopContainer: stopAttempt,
    RemoveContainer: removeAttempt,
    StopPodSandbox: stopPodAttempt,
    RemovePodSandbox: removePodAttempt,
  };

  for (const [hook, attempt] of Object.entries(HOOKS) as [PluginCall, () => Promise<Attempt>][]) {
    test(`in ${hook}: the next start leaves nothing behind, and the retry of the call succeeds`, async () => {
      const { call, holds } = await attempt();
      const hang = (): Promise<never> => {
        process.kill(suite.crid.pid(), 'SIGKILL');
        return new Promise(() => undefined);
      };
      const key = `${hook[0]!.toLowerCase()}${hook.slice(1)}` as keyof PluginHandlers;
      const plugin = await joinWirePlugin(suite.crid.nriSocket, '10-killer', () => ({ [key]: hang }), [hook]);
      await assert.rejects(call(), 'crid ends in the call');
      assert.equal(await ended(), 'SIGKILL');
      assert.deepEqual(plugin.calls, ['Synchronize', hook]);
      plugin.close();
      await suite.crid.start();
      await suite.crid.settled();
      await assertTruth(suite.crid, suite.stack);
      if (!(await holds())) await call();
      assert.ok(await holds(), 'the retry has succeeded');
      await assertTruth(suite.crid, suite.stack);
      await removeAllPods(suite.crid);
      await suite.assertNothingLeft();
    });
  }
});
