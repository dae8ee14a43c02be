import assert from 'node:assert/strict';
import { once } from 'node:events';
import { connect } from 'node:net';
import { afterEach, describe, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { ContainerAdjustment, RuntimeDefinition } from '../../../generated/nri/v1alpha1/api.js';
import { encodeMessage, MessageType } from '../../../src/ttrpc/ttrpc-message.js';
import { FRAME_HEADER_BYTES } from '../../../src/ttrpc/trunk-frame.js';
import { methodOf } from '../../../src/ttrpc/ttrpc-method.js';
import { until } from '../../../tools/stack/wait.js';
import { descriptors, grown } from '../../harness/descriptors.js';
import { runPod } from '../../harness/pod.js';
import { assertTruth } from '../recovery/truth.js';
import { assertFails, startSuite } from '../rpc/suite.js';
import { connectWirePlugin, joinWirePlugin, registerWirePlugin, untilCalled, type WirePlugin } from './wire-plugin.js';

/** Plugins that abuse connections, names, sizes, other plugins' fields, and the wait for Synchronize. */

const LIMIT_MS = 60_000;
const ROUNDS = 100;
const MAX_CONNECTIONS = 64;
const MIB = 2 ** 20;

const hang = (): Promise<never> => new Promise(() => undefined);

describe('a hostile plugin', { timeout: 600_000 }, () => {
  const suite = startSuite({
    isEmptiedAfterEach: true,
    crid: () => ({ config: { nri: { plugin_request_timeout: '20s', plugin_registration_timeout: '20s' } } }),
  });
  const plugins: WirePlugin[] = [];
  afterEach(() => plugins.splice(0).forEach((plugin) => plugin.close()));
  const join = async (name: string, handlers: Parameters<typeof connectWirePlugin>[1]): Promise<WirePlugin> => {
    const plugin = await joinWirePlugin(suite.crid.nriSocket, name, handlers);
    plugins.push(plugin);
    return plugin;
  };
  const registered = async (): Promise<string[]> => {
    const { info } = await suite.crid.runtime.status({ verbose: true });
    return (JSON.parse(info['nri'] ?? '') as { plugins: string[] }).plugins;
  };
  const runOne = async (): Promise<void> => (await runPod(suite.crid, suite.stack)).run().then(() => undefined);

  test(`that connects and disconnects ${ROUNDS} times, at each stage, leaves no connection and no plugin`, async () => {
    const before = descriptors(suite.crid.pid());
    for (let round = 0; round < ROUNDS; round++) {
      const plugin = await connectWirePlugin(suite.crid.nriSocket, () => ({ synchronize: hang }));
      if (round % 3 > 0) await registerWirePlugin(plugin, '10-restless');
      if (round % 3 === 2) await untilCalled(plugin, 'Synchronize');
      plugin.close();
    }
    await until('no plugin is registered', LIMIT_MS, async () => (await registered()).length === 0 || undefined);
    await runOne();
    await until('the connections are closed', LIMIT_MS, () =>
      grown(before, descriptors(suite.crid.pid()))['socket'] === undefined ? true : undefined,
    );
  });

  test('is refused under a name or an index that could not be shown, and another may register', async () => {
    const names = ['', 'a\nb', 'a\u001b[31m', 'a/b', '../a', 'a b', 'ä', 'x'.repeat(129), 'x'.repeat(MIB)];
    const bad = [
      ...names.map((name) => ({ name, index: '10' })),
      ...['', '1', '100', 'a0', '-1', '1\n'].map((index) => ({ name: 'a', index })),
    ];
    const plugin = await connectWirePlugin(suite.crid.nriSocket);
    plugins.push(plugin);
    for (const { name, index } of bad) {
      const request = { plugin_name: name, plugin_idx: index, NRI_version: '' };
      const registering = plugin.runtime.call(methodOf(RuntimeDefinition, 'registerPlugin'), request, {
        timeoutMs: LIMIT_MS,
      });
      await assert.rejects(registering, /plugin_name: expected|plugin_idx: expected two digits/, JSON.stringify(name));
    }
    const longest = `10-${'x'.repeat(128)}`;
    await registerWirePlugin(plugin, longest);
    await untilCalled(plugin, 'Synchronize');
    await runOne();
    assert.deepEqual(await registered(), [longest]);
  });

  test('that announces an adjustment of 10 MiB is disconnected at its first bytes, and the create goes on', async () => {
    const plugin = await join('10-huge', (own) => ({
      createContainer: () => {
        const message = encodeMessage({
          stream: 1,
          type: MessageType.RESPONSE,
          flags: 0,
          data: Buffer.alloc(10 * MIB),
        });
        for (let at = 0; at < message.length; at += 4 * MIB) {
          const payload = message.subarray(at, at + 4 * MIB);
          const header = Buffer.alloc(FRAME_HEADER_BYTES);
          header.writeUInt32BE(1, 0);
          header.writeUInt32BE(payload.length, 4);
          own.socket.write(Buffer.concat([header, payload]));
        }
        return hang();
      },
    }));
    await runOne();
    await plugin.closed();
    assert.match(await suite.crid.log(), /10-huge.*a message of 10485760 bytes, the maximum is 4194304/);
  });

  test('that sets the field of another fails the create, which names both and the field, and both stay', async () => {
    const adjust = ContainerAdjustment.fromPartial({ linux: { oom_score_adj: { value: 500n } } });
    const handlers = () => ({ createContainer: async () => ({ adjust, update: [], evict: [] }) });
    const both = [await join('10-one', handlers), await join('20-two', handlers)];
    const pod = await runPod(suite.crid, suite.stack);
    await assertFails(pod.run(), 'FAILED_PRECONDITION', '"20-two" and "10-one" both tried to set OomScoreAdj');
    assert.deepEqual((await suite.crid.runtime.listContainers({})).containers, []);
    both[1]?.close();
    await until('the other has gone', LIMIT_MS, async () => (await registered()).length === 1 || undefined);
    await pod.run();
  });

  test('that blocks in Synchronize while pods are made and crid is killed leaves nothing, and the retries succeed', async () => {
    const pods = await Promise.all([1, 2, 3].map(() => runPod(suite.crid, suite.stack)));
    const running = await pods[0]!.run();
    const plugin = await connectWirePlugin(suite.crid.nriSocket, () => ({ synchronize: hang }));
    plugins.push(plugin);
    await registerWirePlugin(plugin, '10-blocking');
    await untilCalled(plugin, 'Synchronize');
    const creates = Promise.allSettled([
      ...pods.map((pod) => pod.run({ name: 'late' })),
      runPod(suite.crid, suite.stack),
    ]);
    await sleep(500);
    assert.deepEqual(plugin.calls, ['Synchronize'], 'the creates wait for it');
    await suite.crid.kill9();
    assert.deepEqual(new Set((await creates).map(({ status }) => status)), new Set(['rejected']));
    await suite.crid.start();
    await suite.crid.settled();
    await assertTruth(suite.crid, suite.stack);
    await Promise.all(pods.map((pod) => pod.run({ name: 'late' })));
    const { stdout } = await pods[0]!.exec(running, ['echo', 'well']);
    assert.equal(stdout, 'well\n');
  });

  test(`with ${MAX_CONNECTIONS} idle connections keeps others out until they end, and pods go on`, async () => {
    const open = () => {
      const socket = connect(suite.crid.nriSocket);
      const closed = new Promise<void>((resolve) => socket.once('close', () => resolve()));
      socket.on('error', () => undefined).resume();
      return { socket, closed };
    };
    const idle = Array.from({ length: MAX_CONNECTIONS }, open);
    await Promise.all(
      idle.map(async ({ socket }) => {
        if (socket.connecting) await once(socket, 'connect');
      }),
    );
    await open().closed;
    await runOne();
    for (const { socket } of idle) socket.destroy();
    await until('a plugin can connect', LIMIT_MS, async () => {
      const plugin = await connectWirePlugin(suite.crid.nriSocket);
      plugins.push(plugin);
      return registerWirePlugin(plugin, '10-late').then(
        () => true,
        () => undefined,
      );
    });
  });
});
