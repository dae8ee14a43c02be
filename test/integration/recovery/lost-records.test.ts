import assert from 'node:assert/strict';
import { existsSync } from 'node:fs';
import { after, describe, it } from 'node:test';
import { ContainerEventType, PodSandboxState } from '../../../generated/runtime/v1/api.js';
import { until } from '../../../tools/stack/wait.js';
import type { Containerd } from '../../../src/containerd/containerd.js';
import type { Crid } from '../../harness/crid.js';
import { runPod } from '../../harness/pod.js';
import { startSuite } from '../rpc/suite.js';
import { prompt } from './calls.js';
import { foreignClient, signalUntilGone } from './processes.js';
import { exited, pidOf } from './view.js';

const LIMIT_MS = 20_000;
const SIGKILL = 9;

/** Actions of another client on a running container, and whether they end its process. */
const DEEDS: readonly { what: string; ends: boolean; act: (other: Containerd, id: string) => Promise<void> }[] = [
  {
    what: 'kills and deletes its task and deletes its record at once',
    ends: true,
    act: async (other, id) => {
      const ended = other.tasks.wait({ containerId: id });
      await other.tasks.kill({ containerId: id, signal: SIGKILL });
      await ended;
      // crid deletes the task too, and the later of the two calls may fail.
      await Promise.all([other.tasks.delete(id).catch(() => undefined), other.containers.delete(id)]);
    },
  },
  { what: 'deletes its record', ends: false, act: (other, id) => other.containers.delete(id) },
  {
    what: 'deletes its record and its snapshot',
    ends: false,
    act: async (other, id) => {
      await other.containers.delete(id);
      await other.snapshots('overlayfs').remove(id);
    },
  },
];

describe('another client removes the record or the task of a running container', { timeout: 300_000 }, () => {
  let other: Containerd;
  const suite = startSuite({
    isEmptiedAfterEach: true,
    crid(stack) {
      other = foreignClient(stack);
      return {};
    },
  });
  after(() => other.close());

  /** Asserts that the pod and its containers stop and are removed promptly, and that nothing is left. */
  const removePromptly = async (podId: string): Promise<void> => {
    await suite.crid.runtime.stopPodSandbox({ pod_sandbox_id: podId }, prompt());
    await suite.crid.runtime.removePodSandbox({ pod_sandbox_id: podId }, prompt());
    await suite.assertNothingLeft();
  };

  for (const { what, ends, act } of DEEDS) {
    describe(what, () => {
      it('its exit is published, and it can be stopped and removed', async () => {
        const pod = await runPod(suite.crid, suite.stack);
        const [container_id, left] = [await pod.run(), await pod.run()];
        const pid = await pidOf(suite.crid, container_id);
        const stopped = stopEvent(suite.crid, container_id);
        for (const id of [container_id, left]) await act(other, id);
        if (ends) await exited(suite.crid, container_id);
        await suite.crid.runtime.stopContainer({ container_id, timeout: 1n }, prompt());
        await exited(suite.crid, container_id);
        await stopped;
        assert.equal(existsSync(`/proc/${pid}`), false);
        await suite.crid.runtime.removeContainer({ container_id }, prompt());
        await removePromptly(pod.id);
      });

      if (!ends) {
        it('its process ends by itself: its exit is published, and its shim ends with the pod', async () => {
          const pod = await runPod(suite.crid, suite.stack);
          const id = await pod.run();
          const pid = await pidOf(suite.crid, id);
          await act(other, id);
          await signalUntilGone(pid, 'SIGKILL');
          assert.equal((await exited(suite.crid, id)).exit_code, 137);
          await removePromptly(pod.id);
        });

        it('a running container is removed at once', async () => {
          const pod = await runPod(suite.crid, suite.stack);
          const container_id = await pod.run();
          await act(other, container_id);
          await suite.crid.runtime.removeContainer({ container_id }, prompt());
          await removePromptly(pod.id);
        });
      }

      it('crid restarts: its process is gone, and the pod can be removed', async () => {
        const pod = await runPod(suite.crid, suite.stack);
        const [id, well] = [await pod.run(), await pod.run()];
        const pid = await pidOf(suite.crid, id);
        await suite.crid.kill9();
        await act(other, id);
        await suite.crid.start();
        await suite.crid.settled();
        assert.equal(existsSync(`/proc/${pid}`), false);
        const { stdout } = await pod.exec(well, ['echo', 'well']);
        assert.equal(stdout, 'well\n');
        await removePromptly(pod.id);
      });
    });
  }

  describe('the task of the pause container', () => {
    const deletePause = async (id: string): Promise<void> => {
      const ended = other.tasks.wait({ containerId: id });
      await other.tasks.kill({ containerId: id, signal: SIGKILL, all: true });
      await ended;
      await other.tasks.delete(id);
    };

    it('the pod is reported as not ready, and can be stopped and removed', async () => {
      const pod = await runPod(suite.crid, suite.stack);
      await pod.run();
      const stopped = stopEvent(suite.crid, pod.id);
      await deletePause(pod.id);
      await stopped;
      const { status } = await suite.crid.runtime.podSandboxStatus({ pod_sandbox_id: pod.id });
      assert.equal(status?.state, PodSandboxState.SANDBOX_NOTREADY);
      await removePromptly(pod.id);
    });

    it('crid restarts: the pod is not ready, and can be removed', async () => {
      const pod = await runPod(suite.crid, suite.stack);
      await pod.run();
      await suite.crid.kill9();
      await deletePause(pod.id);
      await suite.crid.start();
      await until('the pod is not ready', LIMIT_MS, async () => {
        const { status } = await suite.crid.runtime.podSandboxStatus({ pod_sandbox_id: pod.id });
        return status?.state === PodSandboxState.SANDBOX_NOTREADY ? true : undefined;
      });
      await removePromptly(pod.id);
    });
  });
});

/** Subscribes to events, and resolves on the stop event of `id`. */
async function stopEvent({ runtime }: Crid, id: string): Promise<void> {
  const ended = new AbortController();
  const signal = AbortSignal.any([ended.signal, AbortSignal.timeout(LIMIT_MS)]);
  for await (const event of runtime.getContainerEvents({}, { signal })) {
    if (event.container_id === id && event.container_event_type === ContainerEventType.CONTAINER_STOPPED_EVENT) break;
  }
  ended.abort();
}
