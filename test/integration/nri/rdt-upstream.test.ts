import assert from 'node:assert/strict';
import { existsSync } from 'node:fs';
import { readFile, writeFile } from 'node:fs/promises';
import { after, before, describe, test } from 'node:test';
import { connectPlugin, type ConnectedPlugin, type CreateAnswer } from '../../../src/nri-plugin/index.js';
import { criClient, type CriClient } from '../../harness/cri-client.js';
import { startCrid, type Crid } from '../../harness/crid.js';
import { pullImage, removeAllPods, runPod } from '../../harness/pod.js';
import { startStack, type Stack } from '../../harness/test-stack.js';
import { failureOf } from '../rpc/suite.js';

/** RDT classes on a node without resctrl: what becomes of a container at crid and at containerd's own CRI plugin. */

type Outcome = 'runs' | 'not created' | 'not started';
type Adjust = NonNullable<CreateAnswer['adjust']>;

const CONTAINER = 'io.kubernetes.cri.rdt-class';
const POD = 'rdt.resources.beta.kubernetes.io/pod';
const OF_CONTAINER = 'rdt.resources.beta.kubernetes.io/container.';

/** Annotations of the pod and of the container, and whether the class is refused without RDT. */
const ANNOTATIONS: readonly [name: string, pod: object, container: object, isRefused: boolean][] = [
  ['of the pod', { [POD]: 'gold' }, {}, true],
  ['of the pod, empty', { [POD]: '' }, {}, true],
  ['of the pod for the container', { [`${OF_CONTAINER}app`]: 'gold' }, {}, true],
  ['of the pod for another container', { [`${OF_CONTAINER}other`]: 'gold' }, {}, false],
  ['of the container', {}, { [CONTAINER]: 'gold' }, true],
];

/** The fields that a plugin sets, and the container's fate on crid and on containerd. */
const ADJUSTMENTS: readonly [name: string, adjust: Adjust, ours: Outcome, theirs: Outcome][] = [
  ['rdt_class', { linux: { resources: { rdt_class: { value: 'gold' } } } }, 'not created', 'runs'],
  ['rdt_class, empty', { linux: { resources: { rdt_class: { value: '' } } } }, 'runs', 'runs'],
  ['rdt.clos_id', { linux: { rdt: { clos_id: { value: 'gold' } } } }, 'not created', 'runs'],
  ['rdt.schemata', { linux: { rdt: { schemata: { value: ['L3:0=f'] } } } }, 'not created', 'runs'],
  ['rdt.enable_monitoring', { linux: { rdt: { enable_monitoring: { value: true } } } }, 'not created', 'runs'],
  ['rdt.remove', { linux: { rdt: { remove: true } } }, 'runs', 'runs'],
];

const skip = existsSync('/sys/fs/resctrl/schemata') ? 'this node has resctrl' : false;

describe("RDT classes beside containerd's CRI plugin", { skip, timeout: 300_000 }, () => {
  let stack: Stack;
  let crid: Crid;
  let reference: CriClient;
  const plugins: ConnectedPlugin[] = [];
  let adjust: Adjust | undefined;

  const joinBoth = async (): Promise<void> => {
    for (const socketPath of [stack.containerd.nriSocket, crid.nriSocket]) {
      const options = { name: 'adjuster', index: '10', socketPath };
      plugins.push(await connectPlugin({ createContainer: () => adjust && { adjust } }, options));
    }
  };
  before(async () => {
    stack = await startStack({ cri: true });
    reference = criClient(stack.containerd.socket);
    crid = await startCrid(stack, { config: { crid: { namespace: 'nri-rdt' } } });
    await Promise.all([pullImage(reference), pullImage(crid)]);
    await joinBoth();
  });
  after(async () => {
    for (const plugin of plugins) await plugin.close();
    await removeAllPods(crid);
    await crid.stop();
    crid.close();
    await removeAllPods(reference);
    reference.close();
    await stack.dispose();
  });

  const outcome = async (
    cri: CriClient,
    annotations = {},
    container = {},
  ): Promise<{ outcome: Outcome; message: string }> => {
    const pod = await runPod(cri, stack, { annotations });
    try {
      const creating = pod.create({ name: 'app', annotations: container });
      const id = await creating.catch(() => undefined);
      if (id === undefined) return { outcome: 'not created', message: (await failureOf(creating)).message };
      const starting = cri.runtime.startContainer({ container_id: id });
      const isStarted = await starting.then(
        () => true,
        () => false,
      );
      return isStarted
        ? { outcome: 'runs', message: '' }
        : { outcome: 'not started', message: (await failureOf(starting)).message };
    } finally {
      await pod.remove();
    }
  };

  for (const [name, pod, container, isRefused] of ANNOTATIONS) {
    test(`an annotation ${name} is ${isRefused ? 'refused' : 'ignored'} by both`, async () => {
      const [ours, theirs] = [await outcome(crid, pod, container), await outcome(reference, pod, container)];
      const expected = isRefused ? 'not created' : 'runs';
      assert.deepEqual([ours.outcome, theirs.outcome], [expected, expected], `${ours.message}\n${theirs.message}`);
      if (isRefused) for (const { message } of [ours, theirs]) assert.match(message, /RDT.*class ".*"/);
    });
  }

  for (const [name, adjustment, ours, theirs] of ADJUSTMENTS) {
    test(`${name} of a plugin: ${ours} at crid, ${theirs} at containerd's CRI plugin`, async () => {
      adjust = adjustment;
      const [found, reported] = [await outcome(crid), await outcome(reference)];
      adjust = undefined;
      assert.deepEqual([found.outcome, reported.outcome], [ours, theirs], `${found.message}\n${reported.message}`);
      if (ours === 'not created')
        assert.match(
          found.message,
          /NRI plugin 10-adjuster: adjust\.linux\..*(resctrl|the OCI runtime does not support it)/,
        );
    });
  }

  test('with ignore_rdt_not_enabled_errors, both ignore each annotation', async () => {
    const { config } = stack.containerd;
    const text = await readFile(config, 'utf8');
    await writeFile(config, text.replace(/^default_runtime_name/m, 'ignore_rdt_not_enabled_errors = true\n$&'));
    await stack.containerd.stop();
    await stack.containerd.start();
    await crid.restart();
    for (const [, pod, container] of ANNOTATIONS)
      assert.deepEqual(
        [(await outcome(crid, pod, container)).outcome, (await outcome(reference, pod, container)).outcome],
        ['runs', 'runs'],
      );
  });
});
