import assert from 'node:assert/strict';
import { existsSync } from 'node:fs';
import { readFile } from 'node:fs/promises';
import { test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import {
  ContainerState,
  RuntimeServiceDefinition,
  Signal,
  type ContainerStatus,
} from '../../../generated/runtime/v1/api.js';
import { pullImage, runPod, type Container } from '../../harness/pod.js';
import { tinyImage } from '../images/tiny-image.js';
import { REPOSITORY, startRegistry } from '../images/tiny-registry.js';
import { callWithin } from './deadline.js';
import { assertFails, failureOf, startSuite, type BadRequest } from './suite.js';

const suite = startSuite({ withPod: true });
const UNKNOWN = 'f'.repeat(64);

const start = (id: string): Promise<unknown> => suite.crid.runtime.startContainer({ container_id: id });
const stop = (id: string, timeout: bigint): Promise<unknown> =>
  suite.crid.runtime.stopContainer({ container_id: id, timeout });
const remove = (id: string): Promise<unknown> => suite.crid.runtime.removeContainer({ container_id: id });

async function statusOf(id: string): Promise<ContainerStatus> {
  const { status } = await suite.crid.runtime.containerStatus({ container_id: id });
  assert.ok(status);
  return status;
}

const lines = async (name: string): Promise<string[]> =>
  (await readFile(suite.pod.logPath(name), 'utf8').catch(() => ''))
    .split('\n')
    .filter(Boolean)
    .map((line) => line.split(' ').slice(3).join(' '));

test('errors of bad requests name the field or the object', async (t) => {
  const { runtime } = suite.crid;
  const requests: BadRequest[] = [
    ['start of an unknown', () => start(UNKNOWN), 'NOT_FOUND', UNKNOWN],
    ['start of none', () => start(''), 'INVALID_ARGUMENT', 'container_id'],
    ['stop of none', () => stop('', 0n), 'INVALID_ARGUMENT', 'container_id'],
    ['removal of none', () => remove(''), 'INVALID_ARGUMENT', 'container_id'],
    ['status of an unknown', () => runtime.containerStatus({ container_id: UNKNOWN }), 'NOT_FOUND', UNKNOWN],
    ['status of none', () => runtime.containerStatus({}), 'INVALID_ARGUMENT', 'container_id'],
  ];
  for (const [name, call, ...expected] of requests) await t.test(name, () => assertFails(call(), ...expected));
  assert.deepEqual([await stop(UNKNOWN, 1n), await remove(UNKNOWN)], [{}, {}]);
});

test('a container starts once', async () => {
  const id = await suite.pod.run();
  await assertFails(start(id), 'FAILED_PRECONDITION', id, 'running');
  await remove(id);
});

test('a command that cannot run: the call and the status name it, exit code 128, StartError', async (t) => {
  const registry = await startRegistry();
  t.after(() => registry.close());
  // The image's only file, which is the command here, has random bytes.
  registry.put('command', tinyImage());
  registry.put('entrypoint', tinyImage({ execution: { Entrypoint: ['/none'] } }));
  const ofImage = (name: string) => ({ command: [], image: { image: `${registry.host}/${REPOSITORY}:${name}` } });
  const cases: [string, Container, string][] = [
    ['does not exist', { command: ['/no/such/command'] }, '/no/such/command'],
    ['is not in the PATH', { command: ['no-such-command'] }, 'no-such-command'],
    ['is no program', { command: ['/etc/passwd'] }, '/etc/passwd'],
    ['is a directory', { command: ['/etc'] }, '/etc'],
    ['of the entrypoint', { ...ofImage('entrypoint') }, 'ENTRYPOINT of the image: '],
    ['of the image', { ...ofImage('command') }, 'CMD of the image: '],
    ['of the arguments', { ...ofImage('command'), args: ['/nothing'] }, 'config.args: '],
    ['of the request, though the image has one', { ...ofImage('entrypoint'), command: ['/none'] }, 'config.command: '],
  ];
  for (const [name, config, culprit] of cases) {
    await t.test(name, async () => {
      if (config.image?.image) await pullImage(suite.crid, config.image.image);
      const id = await suite.pod.create(config);
      const { code, message } = await failureOf(start(id));
      const status = await statusOf(id);
      assert.equal(code, 'INVALID_ARGUMENT', message);
      assert.ok(message.includes(culprit), message);
      assert.ok(status.finished_at > 0n);
      assert.deepEqual(
        { state: status.state, code: status.exit_code, reason: status.reason, message: status.message },
        { state: ContainerState.CONTAINER_EXITED, code: 128, reason: 'StartError', message },
      );
      await assertFails(start(id), 'FAILED_PRECONDITION', id, 'exited');
      await remove(id);
    });
  }
});

test('StartContainer in a pod that was stopped is refused', async () => {
  const pod = await runPod(suite.crid, suite.stack);
  const id = await pod.create();
  await suite.crid.runtime.stopPodSandbox({ pod_sandbox_id: pod.id });
  await assertFails(start(id), 'FAILED_PRECONDITION', pod.id, id);
  await pod.remove();
});

test('StopContainer: the handler of SIGTERM runs to its end within the grace period', async () => {
  const id = await suite.pod.runReady(
    'handler',
    'trap "sleep 0.3; echo bye; exit 7" TERM; echo ready; while :; do sleep 0.05; done',
  );
  await stop(id, 30n);
  const { state, exit_code: code } = await statusOf(id);
  assert.deepEqual(
    { state, code, log: await lines('handler') },
    { state: ContainerState.CONTAINER_EXITED, code: 7, log: ['ready', 'bye'] },
  );
  assert.deepEqual(await stop(id, 30n), {});
  await remove(id);
});

test('StopContainer: SIGKILL follows after the grace period, or at once without one', async () => {
  const stubborn = 'trap "echo term" TERM; echo ready; while :; do sleep 0.05; done';
  const [graced, killed] = [await suite.pod.runReady('graced', stubborn), await suite.pod.runReady('killed', stubborn)];
  await Promise.all([stop(graced, 1n), stop(killed, 0n)]);
  const codes = [(await statusOf(graced)).exit_code, (await statusOf(killed)).exit_code];
  assert.deepEqual(
    { codes, graced: await lines('graced'), killed: await lines('killed') },
    { codes: [137, 137], graced: ['ready', 'term'], killed: ['ready'] },
  );
  await remove(graced);
  await remove(killed);
});

test('StopContainer: a repeat joins and sends no second signal; a shorter grace period applies', async () => {
  const id = await suite.pod.runReady('repeated', 'trap "echo term" TERM; echo ready; while :; do sleep 0.05; done');
  const request = { container_id: id, timeout: 600n };
  const method = RuntimeServiceDefinition.methods.stopContainer;
  const { code, message } = await callWithin(suite.crid.socket, method, request, 1_000);
  assert.deepEqual([code, message.includes(id)], ['DEADLINE_EXCEEDED', true], message);
  const joined = stop(id, 600n);
  await sleep(200);
  assert.equal((await statusOf(id)).state, ContainerState.CONTAINER_RUNNING);
  await Promise.all([joined, stop(id, 1n)]);
  assert.deepEqual([(await statusOf(id)).exit_code, await lines('repeated')], [137, ['ready', 'term']]);
  await remove(id);
});

test("the stop signal is the request's, else the image's", async () => {
  const image = 'docker.io/crid-test/stop-signal:latest';
  await pullImage(suite.crid, image);
  const script =
    'trap "exit 1" TERM; trap "exit 2" USR1; trap "exit 3" INT; trap "exit 4" 37; echo ready; while :; do sleep 0.05; done';
  const ofImage = await suite.pod.runReady('of-image', script, { image: { image } });
  const ofRequest = await suite.pod.runReady('of-request', script, {
    image: { image },
    stop_signal: Signal.SIGNAL_SIGINT,
  });
  const realTime = await suite.pod.runReady('real-time', script, {
    image: { image },
    stop_signal: Signal.SIGNAL_SIGRTMINPLUS3,
  });
  const all = [ofImage, ofRequest, realTime];
  await Promise.all(all.map((id) => stop(id, 20n)));
  const statuses = await Promise.all(all.map(statusOf));
  assert.deepEqual(
    statuses.map(({ exit_code: code, stop_signal: signal }) => [code, signal]),
    [
      [2, Signal.SIGNAL_SIGUSR1],
      [3, Signal.SIGNAL_SIGINT],
      [4, Signal.SIGNAL_SIGRTMINPLUS3],
    ],
  );
  await Promise.all(all.map(remove));
});

test('RemoveContainer kills a running container and keeps the log; a repeat succeeds', async () => {
  const id = await suite.pod.runReady('removed', 'echo ready; sleep 1000');
  assert.deepEqual(await Promise.all([remove(id), remove(id)]), [{}, {}]);
  assert.deepEqual(await remove(id), {});
  await assertFails(suite.crid.runtime.containerStatus({ container_id: id }), 'NOT_FOUND', id);
  assert.deepEqual((await suite.crid.runtime.listContainers({ filter: { id } })).containers, []);
  assert.ok(existsSync(suite.pod.logPath('removed')));
});

test('running containers are removed again and again', async () => {
  for (let round = 0; round < 20; round++) {
    // The first ends on SIGTERM, the second ignores it.
    const id = await suite.pod.run(round % 2 ? {} : { command: ['sleep', '1000'] });
    assert.deepEqual(await remove(id), {});
  }
});
