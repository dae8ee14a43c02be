import assert from 'node:assert/strict';
import { join } from 'node:path';
import { after, afterEach, describe, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { ContainerAdjustment, RuntimeDefinition } from '../../../generated/nri/v1alpha1/api.js';
import { encodeMessage, MessageType } from '../../../src/ttrpc/ttrpc-message.js';
import { FRAME_HEADER_BYTES, MAX_FRAME_BYTES } from '../../../src/ttrpc/trunk-frame.js';
import { methodOf } from '../../../src/ttrpc/ttrpc-method.js';
import { containerConfig, removeAllPods, runPod, type RunningPod } from '../../harness/pod.js';
import { leaks, assertLeavesNothing } from '../../harness/leaks.js';
import { withDeadline } from '../recovery/calls.js';
import { startSuite } from '../rpc/suite.js';
import { connectWirePlugin, joinWirePlugin, registerWirePlugin, untilCalled, type WirePlugin } from './wire-plugin.js';

/** Plugins that fail in each way, on a real containerd, under each failure policy. */

const PODS = 3;
const TIMEOUT_S = 1;
let socket = '';
const suite = startSuite({
  crid(stack) {
    socket = join(stack.dir, 'nri-faults', 'nri.sock');
    const nri = {
      ...{ enabled: true, socket_path: socket, plugin_path: join(stack.dir, 'no-plugins') },
      plugin_request_timeout: `${TIMEOUT_S}s`,
      plugins: {
        guard: { failure_policy: 'fail', exempt_namespaces: ['exempt'], request_timeout: '3s' },
        patient: { request_timeout: '20s' },
      },
    };
    return { config: { nri } };
  },
});

const plugins: WirePlugin[] = [];
const joined = async (...args: Parameters<typeof joinWirePlugin>): Promise<WirePlugin> => {
  const plugin = await joinWirePlugin(...args);
  plugins.push(plugin);
  return plugin;
};
const hang = (): Promise<never> => new Promise(() => undefined);
const closeAll = (): void => {
  for (const plugin of plugins.splice(0)) plugin.close();
};
afterEach(async () => {
  closeAll();
  await removeAllPods(suite.crid);
});
after(closeAll);

/** A frame with this header and payload, on the connection of the service Plugin. */
function rawFrame(length: number, payload: Buffer): Buffer {
  const header = Buffer.alloc(FRAME_HEADER_BYTES);
  header.writeUInt32BE(1, 0);
  header.writeUInt32BE(length, 4);
  return Buffer.concat([header, payload]);
}

/** The ways of a plugin to fail at CreateContainer, and how crid describes it. */
const FAULTS: readonly [name: string, fault: (plugin: WirePlugin) => Promise<never>, described: RegExp][] = [
  ['hangs', hang, /no response within [13] s|closed the connection/],
  [
    'dies',
    (plugin) => {
      plugin.socket.destroy();
      return hang();
    },
    /closed the connection|connection failed/,
  ],
  [
    'answers garbage',
    (plugin) => {
      const garbage = { stream: 1, type: MessageType.RESPONSE, flags: 0, data: Buffer.from('\xff\xff\xffgarbage') };
      const bytes = Array.from({ length: 64 }, (_, index) => encodeMessage({ ...garbage, stream: 2 * index + 1 }));
      plugin.socket.write(Buffer.concat(bytes.map((each) => rawFrame(each.length, each))));
      return hang();
    },
    /broke the protocol/,
  ],
  [
    'answers too much',
    (plugin) => {
      plugin.socket.write(rawFrame(MAX_FRAME_BYTES + 1, Buffer.alloc(1024)));
      return hang();
    },
    /broke the protocol: connection 1: a frame of 4194315 bytes/,
  ],
];

/** Runs pods with a container each at the same time. Returns the errors of the creates. */
async function runPods(count: number): Promise<string[]> {
  const pods = await Promise.all(Array.from({ length: count }, () => runPod(suite.crid, suite.stack)));
  return Promise.all(
    pods.map((pod) =>
      pod.run().then(
        () => '',
        (thrown: unknown) => (thrown as { details: string }).details,
      ),
    ),
  );
}

describe('a plugin', () => {
  for (const [name, fault, described] of FAULTS) {
    test(`that ${name} is disconnected, and ${PODS} pods that are made meanwhile go on`, async () => {
      const plugin = await joined(socket, '10-plain', (own) => ({ createContainer: () => fault(own) }));
      assert.deepEqual(await runPods(PODS), Array(PODS).fill(''));
      await plugin.closed();
    });

    test(`that ${name} fails ${PODS} creates by the policy of the node, which leave nothing, and later ones go on`, async () => {
      await runPod(suite.crid, suite.stack).then((pod) => pod.remove());
      const idle = await leaks(suite.stack);
      // Each create chooses its plugins before the first one is asked, so each of them meets the fault.
      const first = await joined(socket, '00-first');
      const plugin = await joined(socket, '10-guard', (own) => ({
        createContainer: async () => {
          await untilCalled(first, 'CreateContainer', PODS);
          return fault(own);
        },
      }));
      const errors = await runPods(PODS);
      await plugin.closed();
      assert.ok(
        errors.every((error) => error.includes('NRI plugin 10-guard: CreateContainer: ')),
        errors.join('\n'),
      );
      assert.ok(
        errors.some((error) => described.test(error)),
        errors.join('\n'),
      );
      assert.deepEqual(await runPods(1), ['']);
      await removeAllPods(suite.crid);
      await assertLeavesNothing(suite.stack, idle);
    });
  }

  test('that adds more than a request may have fails the create, which names it, and stays', async () => {
    const huge = ContainerAdjustment.fromPartial({ env: [{ key: 'HUGE', value: 'x'.repeat(3 * 2 ** 20) }] });
    const plugin = await joined(socket, '10-plain', () => ({
      createContainer: async () => ({ adjust: huge, update: [], evict: [] }),
    }));
    const [error] = await runPods(1);
    assert.match(error ?? '', /NRI plugin 10-plain: adjust\.env/);
    assert.equal(plugin.trunk.closed, undefined);
  });

  test('that is slow delays no pod that it does not look at', async () => {
    const slow = await joined(socket, '10-guard', () => ({ createContainer: hang }), ['CreateContainer']);
    const [waiting, exempt] = await Promise.all([
      runPod(suite.crid, suite.stack),
      runPod(suite.crid, suite.stack, { metadata: { namespace: 'exempt' } }),
    ]);
    const failed = assert.rejects(waiting.run(), /10-guard/);
    await untilCalled(slow, 'CreateContainer');
    const startedMs = performance.now();
    await exempt.run();
    const other = await runPod(suite.crid, suite.stack);
    assert.ok(performance.now() - startedMs < 3 * TIMEOUT_S * 1000 || slow.trunk.closed === undefined);
    await failed;
    await other.run();
  });

  test('with a longer limit than its caller has left fails the request in time, by name, and goes on', async () => {
    const pod = await runPod(suite.crid, suite.stack);
    const plugin = await joined(socket, '10-patient', () => ({
      createContainer: async () => {
        await sleep(6_000);
        return { adjust: undefined, update: [], evict: [] };
      },
    }));
    const startedMs = performance.now();
    await assert.rejects(createIn(pod, 4_000), /NRI plugin 10-patient: CreateContainer: not done within/);
    assert.ok(performance.now() - startedMs < 4_000);
    await pod.run();
    assert.equal(plugin.trunk.closed, undefined, 'it has kept its own limit');
  });

  test('that floods crid with updates is refused beyond the bound, and pods go on', async () => {
    const pod = await runPod(suite.crid, suite.stack);
    const id = await pod.run();
    const plugin = await joined(socket, '10-plain');
    const update = { container_id: id, linux: undefined, ignore_failure: true };
    const call = (): Promise<string> =>
      plugin.runtime
        .call(methodOf(RuntimeDefinition, 'updateContainers'), { update: [update], evict: [] }, { timeoutMs: 10_000 })
        .then(
          () => 'ok',
          (thrown: unknown) => (thrown as { code: string }).code,
        );
    let flooding = true;
    const flood = Array.from({ length: 60 }, async () => {
      while (flooding) await call();
    });
    assert.deepEqual(await runPods(PODS), Array(PODS).fill(''));
    flooding = false;
    await Promise.all(flood);
    assert.equal(await call(), 'ok');
  });

  test('that registers twice is refused the second time, and stays', async () => {
    const plugin = await joined(socket, '10-plain');
    await assert.rejects(registerWirePlugin(plugin, '20-other'), /plugin "10-plain" is already registered/);
    const pod = await runPod(suite.crid, suite.stack);
    await pod.run();
    assert.ok(plugin.calls.includes('CreateContainer'));
  });

  test('of the name of another is one more plugin, and each is told once', async () => {
    const both = [await joined(socket, '10-plain'), await joined(socket, '10-plain')];
    const pod = await runPod(suite.crid, suite.stack);
    await pod.run();
    assert.deepEqual(
      both.map(({ calls }) => calls.filter((call) => call === 'CreateContainer').length),
      [1, 1],
    );
  });

  test('that disappears in the middle of a Synchronize holds up no pod for longer than that', async () => {
    await runPod(suite.crid, suite.stack);
    const plugin = await connectWirePlugin(socket, () => ({ synchronize: hang }));
    plugins.push(plugin);
    await registerWirePlugin(plugin, '10-guard');
    await untilCalled(plugin, 'Synchronize');
    const creating = runPods(PODS);
    plugin.close();
    const errors = await creating;
    assert.ok(
      errors.every((error) => error === '' || error.includes('10-guard')),
      errors.join('\n'),
    );
    assert.deepEqual(await runPods(1), ['']);
  });
});

/** Creates a container with a deadline that crid sees. */
async function createIn(pod: RunningPod, timeoutMs: number): Promise<void> {
  await suite.crid.runtime.createContainer(
    { pod_sandbox_id: pod.id, config: containerConfig(), sandbox_config: pod.config },
    withDeadline(timeoutMs),
  );
}
