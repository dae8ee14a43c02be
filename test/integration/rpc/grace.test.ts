import assert from 'node:assert/strict';
import { test } from 'node:test';
import { until } from '../../../tools/stack/wait.js';
import {
  ContainerState,
  LinuxContainerResources,
  RuntimeServiceDefinition,
} from '../../../generated/runtime/v1/api.js';
import { runningOperations } from '../../harness/operations.js';
import { limitMs } from '../../harness/slowness.js';
import { ctr } from '../recovery/processes.js';
import { limitsOf } from './cgroup.js';
import { callWithin } from './deadline.js';
import { startSuite } from './suite.js';

/** Stops with grace periods of any length, and other calls on the container meanwhile. */

const suite = startSuite({ withPod: true });
const LIMIT_MS = limitMs(10_000);
const DAY_S = 86_400n;
const INT64_MAX = 2n ** 63n - 1n;
/** Exits with the code 7 on SIGTERM. */
const POLITE = 'trap "exit 7" TERM; echo ready; while :; do sleep 0.1; done';
const STUBBORN = 'trap "" TERM; echo ready; while :; do sleep 0.1; done';

const stop = (id: string, timeout: bigint): Promise<unknown> =>
  suite.crid.runtime.stopContainer({ container_id: id, timeout });
const remove = (id: string): Promise<unknown> => suite.crid.runtime.removeContainer({ container_id: id });
const stateOf = async (id: string) => {
  const { status } = await suite.crid.runtime.containerStatus({ container_id: id });
  return { state: status?.state, exitCode: status?.exit_code };
};

/** Runs a container and begins a stop with a long grace period. */
async function inGrace(name: string): Promise<{ id: string; stopping: Promise<unknown> }> {
  const id = await suite.pod.runReady(name, STUBBORN);
  const stopping = stop(id, 7n * DAY_S);
  await until('the grace runs', LIMIT_MS, async () => {
    const operations = await runningOperations(suite.crid.runtime);
    return operations.some(
      ({ subject, steps }) => subject === id && steps.some((step) => step.name === 'wait for exit'),
    )
      ? true
      : undefined;
  });
  return { id, stopping };
}

/** Fails if `work` takes longer than LIMIT_MS. */
async function atOnce(work: Promise<unknown>): Promise<void> {
  const startedMs = performance.now();
  await work;
  const tookMs = performance.now() - startedMs;
  assert.ok(tookMs < LIMIT_MS, `took ${tookMs} ms`);
}

for (const grace of [DAY_S + 1n, 7n * DAY_S, 30n * DAY_S, 365n * DAY_S, INT64_MAX]) {
  test(`a grace period of ${grace} s: the process gets the signal, and is not killed`, async () => {
    const id = await suite.pod.runReady(`grace-${grace}`, POLITE);
    await atOnce(stop(id, grace));
    assert.deepEqual(await stateOf(id), { state: ContainerState.CONTAINER_EXITED, exitCode: 7 });
    await remove(id);
  });
}

test('a negative grace period kills at once', async () => {
  const id = await suite.pod.runReady('negative', POLITE);
  await atOnce(stop(id, -1n));
  assert.equal((await stateOf(id)).exitCode, 137);
  await remove(id);
});

test('a stop by a caller whose deadline is 30 days away', async () => {
  const id = await suite.pod.runReady('far', POLITE);
  const method = RuntimeServiceDefinition.methods.stopContainer;
  const request = { container_id: id, timeout: 30n * DAY_S };
  assert.equal((await callWithin(suite.crid.socket, method, request, 30 * 86_400_000)).code, 'OK');
  await remove(id);
});

test('ExecSync with timeouts of more than a day', async () => {
  const id = await suite.pod.runReady('exec', POLITE);
  for (const timeout of [DAY_S + 1n, 365n * DAY_S, INT64_MAX]) {
    const { stdout, exit_code } = await suite.crid.runtime.execSync({ container_id: id, cmd: ['echo', 'hi'], timeout });
    assert.deepEqual([Buffer.from(stdout).toString(), exit_code], ['hi\n', 0]);
  }
  await remove(id);
});

test('RemoveContainer during a grace period kills at once, and ends the stop', async () => {
  const { id, stopping } = await inGrace('removed');
  await atOnce(Promise.all([remove(id), stopping]));
  const { containers } = await suite.crid.runtime.listContainers({ filter: { id } });
  assert.deepEqual(containers, []);
});

test('UpdateContainerResources during a grace period reaches the cgroup; a shorter grace period still applies', async () => {
  const { id, stopping } = await inGrace('updated');
  const tasks = await ctr(suite.stack, 'tasks', 'list');
  const pid = Number(new RegExp(`^${id}\\s+(\\d+)`, 'm').exec(tasks)?.[1]);
  const linux = LinuxContainerResources.fromPartial({ cpu_quota: 50_000n, cpu_period: 100_000n });
  await atOnce(suite.crid.runtime.updateContainerResources({ container_id: id, linux }));
  assert.equal((await limitsOf(pid)).quotaUs, 50_000);
  assert.deepEqual(await stateOf(id), { state: ContainerState.CONTAINER_RUNNING, exitCode: 0 });
  await atOnce(Promise.all([stop(id, 0n), stopping]));
  assert.equal((await stateOf(id)).exitCode, 137);
  await remove(id);
});

test('updates and an exit at the same time: the updates succeed', async () => {
  const id = await suite.pod.runReady('race', 'trap "sleep 0.2; exit 7" TERM; echo ready; while :; do sleep 0.1; done');
  const stopping = stop(id, 600n);
  for (let shares = 100n; (await stateOf(id)).state === ContainerState.CONTAINER_RUNNING; shares++) {
    const linux = LinuxContainerResources.fromPartial({ cpu_shares: shares });
    await suite.crid.runtime.updateContainerResources({ container_id: id, linux });
  }
  await stopping;
  assert.equal((await stateOf(id)).exitCode, 7);
  await remove(id);
});

test('ExecSync and ReopenContainerLog during a grace period', async () => {
  const { id, stopping } = await inGrace('used');
  await atOnce(suite.crid.runtime.execSync({ container_id: id, cmd: ['true'], timeout: 10n }));
  await atOnce(suite.crid.runtime.reopenContainerLog({ container_id: id }));
  await atOnce(Promise.all([remove(id), stopping]));
});

test('a task that another client paused: a stop ends it after its grace period, updates and removals do not hang', async () => {
  const [stopped, removed] = [
    await suite.pod.runReady('paused-stop', POLITE),
    await suite.pod.runReady('paused-remove', POLITE),
  ];
  for (const id of [stopped, removed]) await ctr(suite.stack, 'tasks', 'pause', id);
  const linux = LinuxContainerResources.fromPartial({ cpu_shares: 512n });
  await atOnce(suite.crid.runtime.updateContainerResources({ container_id: stopped, linux }));
  await atOnce(stop(stopped, 1n));
  assert.equal((await stateOf(stopped)).state, ContainerState.CONTAINER_EXITED);
  await atOnce(remove(removed));
  await remove(stopped);
});

test('StopPodSandbox during a grace period kills at once', async () => {
  const { id, stopping } = await inGrace('of-pod');
  await atOnce(Promise.all([suite.crid.runtime.stopPodSandbox({ pod_sandbox_id: suite.pod.id }), stopping]));
  assert.equal((await stateOf(id)).exitCode, 137);
});
