import assert from 'node:assert/strict';
import { readFile } from 'node:fs/promises';
import { after, before, describe, it } from 'node:test';
import { ClientError, Status } from 'nice-grpc';
import { ContainerState, PodSandboxState } from '../../../generated/runtime/v1/api.js';
import { shimsOf } from '../../../tools/stack/leftovers.js';
import { until } from '../../../tools/stack/wait.js';
import { startCrid, type Crid } from '../../harness/crid.js';
import { assertLeavesNothing, leaks, type Inventory } from '../../harness/leaks.js';
import { pullImage, removeAllPods, runPod } from '../../harness/pod.js';
import { testStack, type TestStack } from '../../harness/test-stack.js';
import { prompt, withDeadline } from './calls.js';

const PODS = 4;
const LIMIT_MS = 20_000;
/** More lines than were written before and while the shim hung. */
const LINES_OF_A_WHILE = 200;

describe('one of several shims hangs', { timeout: 240_000 }, () => {
  let stack: TestStack;
  let crid: Crid;
  let nothing: Inventory;
  let stopped: number | undefined;

  before(async () => {
    stack = await testStack();
    crid = await startCrid(stack);
    await pullImage(crid);
    await (await runPod(crid, stack)).remove();
    nothing = await leaks(stack);
  });
  after(async () => {
    if (stopped !== undefined) process.kill(stopped, 'SIGCONT');
    await removeAllPods(crid);
    await assertLeavesNothing(stack, nothing);
    await crid.stop();
  });

  it('the others continue, its own stop names the cause, and all ends when it continues', async () => {
    const { runtime } = crid;
    const pods = await Promise.all(Array.from({ length: PODS }, () => runPod(crid, stack)));
    const containers = await Promise.all(pods.map((pod) => pod.run()));
    const [sickPod, well] = [pods[0]!, pods[1]!];
    const [sickId, wellId] = [containers[0]!, containers[1]!];
    const shim = (await shimsOf(stack.containerd.socket)).find(({ id }) => id === sickPod.id);
    assert.ok(shim, `no shim of pod ${sickPod.id}`);
    stopped = shim.pid;
    process.kill(stopped, 'SIGSTOP');

    const stop = (options?: ReturnType<typeof withDeadline>): Promise<unknown> =>
      runtime.stopContainer({ container_id: sickId, timeout: 5n }, options);
    const namesTheStep = (error: unknown): boolean => {
      assert.ok(error instanceof ClientError, String(error));
      assert.equal(error.code, Status.DEADLINE_EXCEEDED, error.message);
      assert.match(error.details, /stop container .*send SIGTERM/);
      assert.ok(error.details.includes(sickId), error.details);
      return true;
    };
    await assert.rejects(stop(withDeadline(1500)), namesTheStep);

    const [{ items }, listed, podStatus, status, health] = await Promise.all([
      runtime.listPodSandbox({}, prompt()),
      runtime.listContainers({}, prompt()),
      runtime.podSandboxStatus({ pod_sandbox_id: sickPod.id }, prompt()),
      runtime.containerStatus({ container_id: sickId, verbose: true }, prompt()),
      runtime.status({}, prompt()),
    ]);
    assert.deepEqual(
      [items.length, listed.containers.length, podStatus.status?.id, status.status?.state],
      [PODS, PODS, sickPod.id, ContainerState.CONTAINER_RUNNING],
    );
    assert.ok(health.status?.conditions.every((condition) => condition.status));
    await runtime.stopContainer({ container_id: wellId, timeout: 10n }, prompt());
    const exec = await pods[2]!.exec(containers[2]!, ['echo', 'well']);
    assert.deepEqual(exec, { stdout: 'well\n', stderr: '', exitCode: 0 });
    await well.remove();
    const other = await runPod(crid, stack);
    await other.run();
    await other.remove();
    await assert.rejects(stop(withDeadline(1500)), namesTheStep);

    process.kill(stopped, 'SIGCONT');
    stopped = undefined;
    await stop();
    const ended = await until('its exit shows', LIMIT_MS, async () => {
      const now = (await runtime.containerStatus({ container_id: sickId })).status;
      return now?.state === ContainerState.CONTAINER_EXITED ? now : undefined;
    });
    assert.deepEqual([ended.exit_code, ended.reason], [0, 'Completed']);
    await Promise.all([sickPod, pods[2]!, pods[3]!].map((pod) => pod.remove()));
    await assertLeavesNothing(stack, nothing);
  });

  it('one is killed: its pod and the container that ran in it can be stopped and removed', async () => {
    const { runtime } = crid;
    const pod = await runPod(crid, stack);
    const id = await pod.run();
    const shim = (await shimsOf(stack.containerd.socket)).find((each) => each.id === pod.id);
    assert.ok(shim, `no shim of pod ${pod.id}`);
    process.kill(shim.pid, 'SIGKILL');
    await until('the pod is not ready', LIMIT_MS, async () => {
      const { status } = await runtime.podSandboxStatus({ pod_sandbox_id: pod.id });
      return status?.state === PodSandboxState.SANDBOX_NOTREADY || undefined;
    });
    await runtime.stopContainer({ container_id: id, timeout: 5n }, prompt());
    await runtime.stopPodSandbox({ pod_sandbox_id: pod.id }, prompt());
    await runtime.removePodSandbox({ pod_sandbox_id: pod.id }, prompt());
    await assertLeavesNothing(stack, nothing);
  });

  it('crid starts while one hangs: its pod counts as ready, and its state is known once the shim continues', async () => {
    const { runtime } = crid;
    const pod = await runPod(crid, stack);
    const command = ['sh', '-c', 'trap "exit 3" TERM; n=0; while :; do echo $((n += 1)); sleep 0.1; done'];
    const id = await pod.run({ name: 'counting', command });
    const shim = (await shimsOf(stack.containerd.socket)).find((each) => each.id === pod.id);
    assert.ok(shim, `no shim of pod ${pod.id}`);
    stopped = shim.pid;
    process.kill(stopped, 'SIGSTOP');
    await crid.kill9();
    await crid.start();

    const states = async (): Promise<unknown[]> => {
      const { status } = await runtime.podSandboxStatus({ pod_sandbox_id: pod.id });
      const { containers } = await runtime.listContainers({ filter: { id } });
      return [status?.state, containers[0]?.state];
    };
    assert.deepEqual(await states(), [PodSandboxState.SANDBOX_READY, ContainerState.CONTAINER_RUNNING]);
    await assert.rejects(pod.create(), (error) => error instanceof ClientError && error.code === Status.UNAVAILABLE);

    process.kill(stopped, 'SIGCONT');
    stopped = undefined;
    await until('its log goes on', LIMIT_MS, async () => {
      const lines = parseNumbers(await readFile(pod.logPath('counting'), 'utf8'));
      assert.deepEqual(
        lines,
        lines.map((_, index) => index + 1),
      );
      return lines.length > LINES_OF_A_WHILE || undefined;
    });
    assert.deepEqual(await states(), [PodSandboxState.SANDBOX_READY, ContainerState.CONTAINER_RUNNING]);
    await until('containers can be made in it', LIMIT_MS, () => pod.run());
    await runtime.stopContainer({ container_id: id, timeout: 10n });
    const { status } = await runtime.containerStatus({ container_id: id });
    assert.deepEqual([status?.state, status?.exit_code], [ContainerState.CONTAINER_EXITED, 3]);
    await pod.remove();
    await assertLeavesNothing(stack, nothing);
  });
});

/** Returns the numbers in a CRI log. The last line may be incomplete and is left out. */
const parseNumbers = (log: string): number[] =>
  log
    .split('\n')
    .slice(0, -1)
    .map((line) => Number(line.split(' ')[3]));
