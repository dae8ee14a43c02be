import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { rm } from 'node:fs/promises';
import { beforeEach, test } from 'node:test';
import { PodSandboxState, RuntimeServiceDefinition } from '../../../generated/runtime/v1/api.js';
import { until } from '../../../tools/stack/wait.js';
import { podConfig, runPod } from '../../harness/pod.js';
import { callWithin } from './deadline.js';
import { createOddPlugin, type OddPlugin } from './odd-plugin.js';
import { assertFails, failureOf, startSuite } from './suite.js';

const LOADED_WITHIN_MS = 5_000;
const { runPodSandbox, stopPodSandbox } = RuntimeServiceDefinition.methods;

let odd: OddPlugin;
const suite = startSuite({ crid: async (stack) => (odd = await createOddPlugin(stack)).options });
beforeEach(async () => {
  await odd.tell('ADD', 'ok');
  await odd.tell('DEL', 'ok');
});

const failure = (code: number, msg: string): string => JSON.stringify({ cniVersion: '1.0.0', code, msg });

test('a plugin that fails at ADD: the error has its text, and the work of the plugins before it is undone', async () => {
  const request = { config: await podConfig(suite.stack) };
  const names = ['add network', `"${odd.type}"`, `"${suite.stack.bridge.name}"`];
  const run = (): Promise<unknown> => suite.crid.runtime.runPodSandbox(request);

  await odd.tell('ADD', failure(100, 'no cable'));
  await assertFails(run(), 'UNKNOWN', ...names, 'no cable');
  await odd.tell('ADD', failure(11, 'come back later'));
  await assertFails(run(), 'UNAVAILABLE', ...names, 'come back later');
  await odd.tell('ADD', 'Segmentation fault');
  await assertFails(run(), 'UNKNOWN', ...names, 'Segmentation fault');
  assert.deepEqual((await suite.crid.runtime.listPodSandbox({})).items, []);
  await suite.assertNothingLeft();

  await odd.tell('ADD', 'ok');
  await suite.crid.runtime.removePodSandbox(await suite.crid.runtime.runPodSandbox(request));
});

test('a plugin that is not installed is named', async () => {
  const request = { config: await podConfig(suite.stack) };
  await odd.rename('no-such-plugin');
  const failed = await until('the configuration is loaded', LOADED_WITHIN_MS, async () => {
    const { code, message } = await failureOf(suite.crid.runtime.runPodSandbox(request));
    return message.includes('no-such-plugin') ? { code, message } : undefined;
  });
  assert.equal(failed.code, 'FAILED_PRECONDITION', failed.message);
  await suite.assertNothingLeft();
  await odd.rename(odd.type);
  const { pod_sandbox_id: id } = await until('the configuration is loaded', LOADED_WITHIN_MS, () =>
    suite.crid.runtime.runPodSandbox(request),
  );
  await suite.crid.runtime.removePodSandbox({ pod_sandbox_id: id });
});

test('a plugin that hangs at ADD: the deadline names it, and a retry joins', async () => {
  await odd.tell('ADD', 'hang');
  const request = { config: await podConfig(suite.stack), runtime_handler: '' };
  for (const _attempt of [1, 2]) {
    const { code, message } = await callWithin(suite.crid.socket, runPodSandbox, request, 2_000);
    assert.equal(code, 'DEADLINE_EXCEEDED', message);
    assert.match(message, new RegExp(`add network.*${odd.type}`));
  }
  assert.deepEqual((await suite.crid.runtime.listPodSandbox({})).items, []);
  const retry = suite.crid.runtime.runPodSandbox(request);
  await odd.tell('ADD', 'ok');
  const { pod_sandbox_id: id } = await retry;
  const { items } = await suite.crid.runtime.listPodSandbox({});
  assert.deepEqual(
    items.map((item) => ({ id: item.id, state: item.state })),
    [{ id, state: PodSandboxState.SANDBOX_READY }],
  );
  await suite.crid.runtime.removePodSandbox({ pod_sandbox_id: id });
});

test('a plugin that fails at DEL: the stop returns its error, and the pod can be stopped again', async () => {
  const pod = await runPod(suite.crid, suite.stack);
  await odd.tell('DEL', failure(100, 'stuck cable'));
  const stop = (): Promise<unknown> => suite.crid.runtime.stopPodSandbox({ pod_sandbox_id: pod.id });
  await assertFails(stop(), 'UNKNOWN', 'delete network', `"${odd.type}"`, 'stuck cable');
  const { status } = await suite.crid.runtime.podSandboxStatus({ pod_sandbox_id: pod.id });
  assert.equal(status?.state, PodSandboxState.SANDBOX_NOTREADY);
  await assertFails(suite.crid.runtime.removePodSandbox({ pod_sandbox_id: pod.id }), 'UNKNOWN', 'stuck cable');
  await odd.tell('DEL', 'ok');
  await pod.remove();
  await suite.assertNothingLeft();
});

test('a plugin that fails at DEL after the network namespace was lost: the stop returns its error as long as it fails', async () => {
  const { crid, stack } = suite;
  const pod = await runPod(crid, stack);
  const { info } = await crid.runtime.podSandboxStatus({ pod_sandbox_id: pod.id, verbose: true });
  const netns = /"(?:NetNSPath|netNsPath|path)":"([^"]*\/cni-[^"]*)"/.exec(
    JSON.stringify(info).replaceAll('\\', ''),
  )?.[1];
  assert.ok(netns, JSON.stringify(info));
  await crid.stop();
  execFileSync('umount', [netns]);
  await rm(netns);
  await crid.start();
  await odd.tell('DEL', failure(100, 'no API server yet'));
  const stop = (): Promise<unknown> => crid.runtime.stopPodSandbox({ pod_sandbox_id: pod.id });
  await assertFails(stop(), 'UNKNOWN', 'delete network', 'no API server yet');
  await odd.tell('DEL', 'ok');
  await pod.remove();
  await suite.assertNothingLeft();
});

test('a plugin that hangs at DEL: the deadline names it, and a retry joins', async () => {
  const pod = await runPod(suite.crid, suite.stack);
  await odd.tell('DEL', 'hang');
  const request = { pod_sandbox_id: pod.id };
  const { code, message } = await callWithin(suite.crid.socket, stopPodSandbox, request, 2_000);
  assert.equal(code, 'DEADLINE_EXCEEDED', message);
  assert.match(message, new RegExp(`delete network.*${odd.type}`));
  const retry = suite.crid.runtime.stopPodSandbox(request);
  await odd.tell('DEL', 'ok');
  await retry;
  await suite.crid.runtime.removePodSandbox(request);
  await suite.assertNothingLeft();
});
