import assert from 'node:assert/strict';
import { rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import { ClientError, Status } from 'nice-grpc';
import type { RunningOperation } from '../../../src/operation/operation.js';
import { ContainerState, LinuxContainerResources } from '../../../generated/runtime/v1/api.js';
import { until } from '../../../tools/stack/wait.js';
import { recordsIn } from '../../harness/containerd-records.js';
import { assertLeavesNothing, leaks, NAMESPACE, type Inventory } from '../../harness/leaks.js';
import { runningOperations } from '../../harness/operations.js';
import { containerConfig, podConfig, pullImage, removeAllPods, runPod } from '../../harness/pod.js';
import { testStack, type TestStack } from '../../harness/test-stack.js';
import { withDeadline } from './calls.js';
import { startFaultyCrid, type FaultyCrid } from './faults.js';

const RETRIES = 50;
const LIMIT_MS = 20_000;

describe('an operation that outlives its caller', { timeout: 120_000 }, () => {
  let stack: TestStack;
  let crid: FaultyCrid;
  let release: string;
  let nothing: Inventory;

  before(async () => {
    stack = await testStack();
    release = join(stack.dir, `release-${process.pid}`);
    crid = await startFaultyCrid(stack);
    await pullImage(crid);
    await (await runPod(crid, stack)).remove();
    nothing = await leaks(stack);
  });
  after(async () => {
    await writeFile(release, '');
    await crid.clearFault();
    await removeAllPods(crid);
    await assertLeavesNothing(stack, nothing);
    await crid.stop();
  });

  const operations = async (kind: string): Promise<RunningOperation[]> => {
    return (await runningOperations(crid.runtime)).filter((operation) => operation.kind === kind);
  };
  const isWaitedOn = (kind: string, step: string): Promise<true> =>
    until(`${kind} is at ${step}`, LIMIT_MS, async () =>
      (await operations(kind)).some(({ steps }) => steps.some(({ name }) => name === step)) ? true : undefined,
    );
  /**
   * Blocks one step until `release` exists. Calls the operation once, then with deadlines that end while the step is
   * blocked, then with retries that succeed. Returns the results of the retries.
   */
  const hangAndRetry = async (
    kind: string,
    step: string,
    call: (options?: ReturnType<typeof withDeadline>) => Promise<unknown>,
  ): Promise<unknown[]> => {
    await rm(release, { force: true });
    await crid.setFault(`${kind}/${step}:before=hang=${release}`);
    const namesTheStep = (error: unknown): boolean => {
      assert.ok(error instanceof ClientError, String(error));
      assert.equal(error.code, Status.DEADLINE_EXCEEDED, error.message);
      assert.ok(error.details.includes(kind) && error.details.includes(step), error.details);
      return true;
    };
    await assert.rejects(call(withDeadline(1000)), namesTheStep);
    const inVain = Array.from({ length: RETRIES }, () => assert.rejects(call(withDeadline(1000)), namesTheStep));
    await Promise.all(inVain);

    const retries = Array.from({ length: RETRIES }, () => call());
    const all = Promise.all(retries);
    all.catch(() => undefined);
    const running = await until(`${RETRIES} wait for ${kind}`, LIMIT_MS, async () => {
      const now = await operations(kind);
      return now.some(({ waiters }) => waiters === RETRIES) ? now : undefined;
    });
    assert.deepEqual(
      running.map(({ steps }) => steps.map(({ name }) => name).includes(step)),
      [true],
      'one worker, at the step that hangs',
    );
    await writeFile(release, '');
    return within(LIMIT_MS, all);
  };

  it('run pod sandbox: one worker for 50 retries, which all get its pod', async () => {
    const config = await podConfig(stack);
    const answers = await hangAndRetry('run pod sandbox', 'add network', async (options) => {
      return (await crid.runtime.runPodSandbox({ config }, options)).pod_sandbox_id;
    });
    const { sandbox } = await recordsIn(stack.containerd.socket, NAMESPACE);
    assert.deepEqual([[...new Set(answers)], sandbox.length], [sandbox, 1]);
    assert.deepEqual(await operations('run pod sandbox'), []);
    await removeAllPods(crid);
  });

  it('create container: one worker for 50 retries, which all get its container', async () => {
    const pod = await runPod(crid, stack);
    const request = { pod_sandbox_id: pod.id, config: containerConfig(), sandbox_config: pod.config };
    const answers = await hangAndRetry('create container', 'prepare snapshot', async (options) => {
      return (await crid.runtime.createContainer(request, options)).container_id;
    });
    const { container } = await recordsIn(stack.containerd.socket, NAMESPACE);
    assert.deepEqual(
      [...new Set(answers)],
      container.filter((id) => id !== pod.id),
    );
    await pod.remove();
  });

  it('stop container: a stop without a caller continues, and a repeat joins it', async () => {
    const pod = await runPod(crid, stack);
    const id = await pod.run();
    await hangAndRetry('stop container', 'send SIGTERM', (options) =>
      crid.runtime.stopContainer({ container_id: id, timeout: 30n }, options),
    );
    const { status } = await crid.runtime.containerStatus({ container_id: id });
    assert.deepEqual([status?.exit_code, status?.reason], [0, 'Completed']);
    await pod.remove();
  });

  it('stop container: a shorter grace period applies while the stop still waits', async () => {
    const pod = await runPod(crid, stack);
    const container_id = await pod.runReady('stubborn', 'trap "" TERM; echo ready; while :; do sleep 1; done');
    await rm(release, { force: true });
    await crid.setFault(`update container resources/update task:before=hang=${release}`);
    const linux = LinuxContainerResources.fromPartial({ cpu_shares: 512n });
    const updating = crid.runtime.updateContainerResources({ container_id, linux });
    await isWaitedOn('update container resources', 'update task');
    const patient = crid.runtime.stopContainer({ container_id, timeout: 600n });
    await isWaitedOn('stop container', 'wait for update container resources');
    const kill = crid.runtime.stopContainer({ container_id, timeout: 0n });
    await until('both wait for one stop', LIMIT_MS, async () =>
      (await operations('stop container'))[0]?.waiters === 2 ? true : undefined,
    );
    await writeFile(release, '');
    await Promise.all([updating, patient, kill]);
    const { status } = await crid.runtime.containerStatus({ container_id });
    assert.equal(status?.exit_code, 137);
    await crid.clearFault();
    await pod.remove();
  });

  it('stop pod sandbox: a container that is being started, or is to be started meanwhile, does not outlive it', async () => {
    const pod = await runPod(crid, stack);
    const [first, second] = [await pod.create(), await pod.create()];
    const start = (container_id: string): Promise<unknown> =>
      crid.runtime.startContainer({ container_id }).then(
        () => 'started',
        () => 'refused',
      );
    await rm(release, { force: true });
    await crid.setFault(`start container/start task:before=hang=${release}`);
    const starting = start(first);
    await isWaitedOn('start container', 'start task');
    const stopping = crid.runtime.stopPodSandbox({ pod_sandbox_id: pod.id });
    await isWaitedOn('stop container', 'wait for start container');
    // By now the operation has finished with the containers.
    const late = `${release}-late`;
    await crid.setFault(`stop pod sandbox/stop sandbox:before=hang=${late}`);
    await writeFile(release, '');
    await isWaitedOn('stop pod sandbox', 'stop sandbox');
    assert.equal(await start(second), 'refused');
    await writeFile(late, '');
    await stopping;
    assert.equal(await starting, 'started');
    await crid.clearFault();
    await rm(late);
    const { containers } = await crid.runtime.listContainers({ filter: { pod_sandbox_id: pod.id } });
    const running = containers.filter(({ state }) => state === ContainerState.CONTAINER_RUNNING);
    assert.deepEqual([containers.length, running], [2, []]);
    await pod.remove();
  });

  it('remove pod sandbox: a retry joins, and the name is free as soon as it has ended', async () => {
    const pod = await runPod(crid, stack);
    await pod.run();
    await hangAndRetry('remove pod sandbox', 'delete network', (options) =>
      crid.runtime.removePodSandbox({ pod_sandbox_id: pod.id }, options),
    );
    const { pod_sandbox_id: again } = await crid.runtime.runPodSandbox({ config: pod.config });
    assert.notEqual(again, pod.id);
    await removeAllPods(crid);
  });
});

describe('a call for an object that exists already', { timeout: 60_000 }, () => {
  let stack: TestStack;
  let crid: FaultyCrid;

  before(async () => {
    stack = await testStack();
    crid = await startFaultyCrid(stack);
    await pullImage(crid);
  });
  after(async () => {
    await removeAllPods(crid);
    await crid.stop();
  });

  const taken = (id: string) => (error: unknown) => {
    assert.ok(error instanceof ClientError, String(error));
    assert.equal(error.code, Status.ALREADY_EXISTS);
    assert.ok(error.details.includes(id), error.details);
    return true;
  };

  it('an equal pod is returned, another of the same name is refused, a removed one releases its name', async () => {
    const { runtime } = crid;
    const config = await podConfig(stack);
    const other = { ...config, hostname: 'other' };
    const { pod_sandbox_id: id } = await runtime.runPodSandbox({ config });
    assert.deepEqual(await runtime.runPodSandbox({ config }), { pod_sandbox_id: id });
    await assert.rejects(runtime.runPodSandbox({ config: other }), taken(id));
    await runtime.removePodSandbox({ pod_sandbox_id: id });
    const { pod_sandbox_id: next } = await runtime.runPodSandbox({ config: other });
    await runtime.removePodSandbox({ pod_sandbox_id: next });
    assert.notEqual(next, id);
  });

  it('an equal container is returned, another of the same name is refused, a removed one releases its name', async () => {
    const { runtime } = crid;
    const pod = await runPod(crid, stack);
    const request = { pod_sandbox_id: pod.id, config: containerConfig(), sandbox_config: pod.config };
    const other = { ...request, config: { ...request.config, working_dir: '/tmp' } };
    const { container_id: id } = await runtime.createContainer(request);
    assert.deepEqual(await runtime.createContainer(request), { container_id: id });
    await assert.rejects(runtime.createContainer(other), taken(id));
    await runtime.startContainer({ container_id: id });
    // The container runs. A kubelet that creates it again has lost track of it, and must not get a second start.
    await assert.rejects(runtime.createContainer(request), taken(id));
    await runtime.removeContainer({ container_id: id });
    const { container_id: next } = await runtime.createContainer(other);
    assert.notEqual(next, id);
    await pod.remove();
  });
});

async function within<T>(limitMs: number, work: Promise<T>): Promise<T> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<never>((_resolve, reject) => {
    timer = setTimeout(() => reject(new Error(`not within ${limitMs} ms`)), limitMs);
  });
  return Promise.race([work, late]).finally(() => clearTimeout(timer));
}
